-- Extend the leases that their token still holds: `Scheduler.renew`.  To be sent again as often as need be.
--
-- keys: any key of the partition
-- arguments: a packed `RenewRequest`; the channel of wake-ups
-- replies: packed `Renewal`s, in order
-- complexity: O(log n) for each lease
-- uses: wire keys record waking

local horizon, refs, places, partitions
stem, horizon, refs, places, partitions = unpack(cmsgpack.unpack(ARGV[1]))

write_when_full()
local answers = {}
for index, ref in ipairs(refs) do
  local instance, token = ref[1], ref[2]
  local readable, w = pcall(find_record, partition_prefix(places[index]), instance)
  if readable and w.exists and w.owner and w.token == token then
    w.lease_until = horizon
    touch(w)
    answers[index] = '\147' .. pack(instance, true, w.version)
  else
    answers[index] = '\147' .. pack(instance, false, 0)
  end
end
local nearest = store_records()
if #partitions > 1 then
  store_heads()
end
tell_alarm(ARGV[2], '', nearest, server_micros())
return array_of(answers)
