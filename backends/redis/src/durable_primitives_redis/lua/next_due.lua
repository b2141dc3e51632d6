-- The earliest alarm of some partitions: `Scheduler.next_due`.
--
-- keys: any key of the partition
-- arguments: a packed `NextDueRequest`
-- replies: a packed `NextDueReply`
-- complexity: O(log n)
-- uses: wire keys

local partitions
stem, partitions = unpack(cmsgpack.unpack(ARGV[1]))

local key = #partitions > 1 and heads_key() or partition_prefix(partitions[1]) .. 'alarm'
local nearest = tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
return '\146' .. pack(nearest, server_micros())
