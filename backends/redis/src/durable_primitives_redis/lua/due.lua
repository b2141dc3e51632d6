-- The alarms of one partition that have come, the earliest first: where on a cluster a claim is worth its while.
--
-- keys: any key of the partition
-- arguments: a packed `DueRequest`
-- replies: a packed list of times, at most `limit`
-- complexity: O(limit + log n)
-- uses: wire keys

local place, at, limit
stem, place, at, limit = unpack(cmsgpack.unpack(ARGV[1]))

local key = partition_prefix(place) .. 'alarm'
local found = call('ZRANGEBYSCORE', key, '-inf', digits(at), 'WITHSCORES', 'LIMIT', 0, digits(limit))
local alarms = {}
for index = 2, #found, 2 do
  alarms[#alarms + 1] = pack(tonumber(found[index]))
end
return array_of(alarms)
