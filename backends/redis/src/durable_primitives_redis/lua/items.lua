-- Items of one segment with a sequence above `after`, in order of sequence: `Storage.items`.
--
-- keys: any key of the partition
-- arguments: a packed `ItemsRequest`
-- replies: packed `Item`s
-- complexity: O(limit + log n), for segment 0 times the number of different ranks
-- uses: wire keys record items finding?

local place, instance, segment, after, limit
stem, place, instance, segment, after, limit = unpack(cmsgpack.unpack(ARGV[1]))

local w = find_record(partition_prefix(place), instance)
if not w.exists then
  return '\144'
end
local seqs = finding().batched_after(w, segment, after, segment, limit)
if segment == 0 then
  local loose = finding().loose_after(w, after, limit)
  for _, seq in ipairs(w.taken) do
    loose[#loose + 1] = seq > after and seq or nil
  end
  for _, seq in ipairs(loose) do
    seqs[#seqs + 1] = seq
  end
  table.sort(seqs)
end
local found = {}
for _, row in ipairs(get_many(row_key(w, 'items'), padded_all(seqs))) do
  if row and #found < limit and (w.segment == 0 or parse_item(row).segment == segment) then
    found[#found + 1] = row
  end
end
return array_of(found)
