-- The earliest alarm of some partitions: `Scheduler.next_due`.
--
-- keys: any key of the partition
-- arguments: a packed `NextDueRequest`
-- replies: a packed `NextDueReply`
-- complexity: O(log n) for each partition
-- uses: wire keys

local partitions
stem, partitions = unpack(cmsgpack.unpack(ARGV[1]))

local nearest
for _, partition in ipairs(partitions) do
  local first = call('ZRANGE', partition_prefix(partition) .. 'alarm', 0, 0, 'WITHSCORES')[2]
  first = tonumber(first)
  if first and (not nearest or first < nearest) then
    nearest = first
  end
end
return '\146' .. pack(nearest, server_micros())
