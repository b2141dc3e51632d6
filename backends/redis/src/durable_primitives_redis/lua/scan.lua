-- Records whose instance id starts with a prefix, from a place in that range on, by instance id: `Storage.scan`, of each
-- of some partitions.
--
-- keys: any key of the partition
-- arguments: a packed `ScanRequest`
-- replies: packed `Record`s, at most `limit` of each partition, partition after partition
-- complexity: O(limit + log n) for each partition
-- uses: wire keys record

local partitions, first, prefix, limit
stem, partitions, first, prefix, limit = unpack(cmsgpack.unpack(ARGV[1]))

local found = {}
for _, partition in ipairs(partitions) do
  local part = partition_prefix(partition)
  local range = { first, '[' .. prefix .. '\255', 'LIMIT', 0, digits(limit) }
  for _, instance in ipairs(call('ZRANGEBYLEX', part .. 'names', unpack(range))) do
    found[#found + 1] = record_reply(find_record(part, instance))
  end
end
return array_of(found)
