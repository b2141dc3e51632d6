-- Counts over the items of one instance: `Storage.tally`.
--
-- keys: any key of the partition
-- arguments: a packed `TallyRequest`
-- replies: a packed `Tally`
-- complexity: O(log n), and O(1) for each item in hand
-- uses: wire keys record items finding?

local place, instance, now
stem, place, instance, now = unpack(cmsgpack.unpack(ARGV[1]))

local w = find_record(partition_prefix(place), instance)
if not w.exists then
  return '\149' .. pack(0, 0, 0, 0, nil)
end
local waiting = call('ZCARD', row_key(w, 'waiting'))
local later = call('ZCOUNT', row_key(w, 'waiting'), '(' .. digits(now), '+inf')
local retrying = call('ZCOUNT', row_key(w, 'retrying'), '(' .. digits(now), '+inf')
local ready = call('ZCARD', row_key(w, 'ready'))

-- Items came in the order of their sequences, but for those in `ages`: the first one is the oldest, or one of those is.
local first = finding().oldest_free(w)
local in_hand = 0
for _, item in ipairs(find_items(w, w.taken)) do
  in_hand = in_hand + 1
  first = math.min(first or item.seq, item.seq)
end
local oldest_at
if first then
  oldest_at = find_items(w, { first })[1].at
  local aged = call('ZRANGE', row_key(w, 'ages'), 0, 0, 'WITHSCORES')[2]
  oldest_at = aged and math.min(oldest_at, tonumber(aged)) or oldest_at
end
-- What is neither ready nor waiting nor in hand waits for its instance.
local batched = w.count - ready - waiting - in_hand
return '\149' .. pack(ready + waiting - later, later + batched - retrying, retrying,
  call('HLEN', row_key(w, 'letters')), oldest_at)
