-- What the store says of itself, noted by the first who opens it; on a standalone server, the heads of its partitions.
--
-- keys: the HASH of the namespace's settings
-- arguments: a packed `OpenRequest`
-- replies: the settings that hold, names and values in turn
-- complexity: O(log n) for each partition
-- uses: wire keys

local partitions, settings
stem, partitions, settings = unpack(cmsgpack.unpack(ARGV[1]))

if call('EXISTS', KEYS[1]) == 0 then
  call('HSET', KEYS[1], unpack(settings))
end
if #partitions > 1 then
  for _, partition in ipairs(partitions) do
    local part = partition_prefix(partition)
    local first = call('ZRANGE', part .. 'alarm', 0, 0, 'WITHSCORES')[2]
    if first then
      call('ZADD', heads_key(), first, part)
    else
      call('ZREM', heads_key(), part)
    end
  end
end
return call('HGETALL', KEYS[1])
