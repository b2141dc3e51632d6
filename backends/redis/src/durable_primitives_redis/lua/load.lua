-- One instance with some of its receipts and dead letters: `Storage.load`.
--
-- keys: any key of the partition
-- arguments: a packed `LoadRequest`
-- replies: a packed `LoadReply`
-- complexity: O(1) for each id
-- uses: wire keys record receipts

-- As the kernel's `Receipt`.
local function receipt_reply(id, row)
  return (byte(row) == LIVE and '\150' or '\152') .. pack(id) .. sub(row, 2)
end

local place, instance, receipt_ids, letter_ids
stem, place, instance, receipt_ids, letter_ids = unpack(cmsgpack.unpack(ARGV[1]))

local w = find_record(partition_prefix(place), instance)
if not w.exists then
  return '\147\192\144\144'
end
local receipts, letters = {}, {}
local rows = get_many(row_key(w, 'receipts'), receipt_ids)
for index, id in ipairs(receipt_ids) do
  if rows[index] then
    receipts[#receipts + 1] = receipt_reply(id, rows[index])
  end
end
for _, row in ipairs(get_many(row_key(w, 'letters'), letter_ids)) do
  if row then
    letters[#letters + 1] = row
  end
end
return '\147' .. record_reply(w) .. array_of(receipts) .. array_of(letters)
