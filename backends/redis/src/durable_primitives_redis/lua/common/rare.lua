-- Words that are seldom said: `remember`, `redrive`, `discard`, `retire`, `clear`, `cancel`, and dropping the oldest item.

local function forget_at(w, at)
  return at + ((w.linger_ms or 0) ~= 0 and w.linger_ms or TOMBSTONE_MS)
end

-- End some items of which the rows are known.
local function end_items(w, items, settlement, expires_at)
  for _, item in ipairs(items) do
    item.settlement, item.expires_at = settlement, expires_at
  end
  settle(w, items)
end

-- End one item that nobody has in hand.  If it waited, those that it held back need wait no longer.
local function take_out(w, t, items, settlement)
  end_items(w, items, settlement, forget_at(w, t.at))
  if items[1].due > 0 and items[1].due < NEVER then
    arm(w, t.at, t.at)
  end
end

local function drop_oldest(w, t, out)
  local seq = finding().oldest_free(w)
  if seq then
    take_out(w, t, find_items(w, { seq }), 'cleared')
    out.cleared = out.cleared + 1
  end
end

-- Keep live receipts, of the open segment, for ids that have no item.
local function remember(w, ids)
  local rows, marks = {}, {}
  local row = live_receipt(0, 0, 0, 0, w.segment)
  for _, id in ipairs(ids) do
    rows[#rows + 1], rows[#rows + 2] = id, row
    marks[#marks + 1], marks[#marks + 2] = w.segment, id
  end
  call_many('HSET', row_key(w, 'receipts'), rows)
  w.loose = w.loose + call_many('ZADD', row_key(w, 'loose'), marks)
end

-- Settle the live receipts without an item of some segments.
local function settle_loose(w, first, last, settlement, expires_at)
  if w.loose > 0 then
    local key = row_key(w, 'loose')
    local ids = call('ZRANGEBYSCORE', key, first, last)
    settle_receipts(w, ids, settlement, expires_at, function(row)
      return byte(row) == LIVE and parse_receipt(row) == 0
    end)
    w.loose = w.loose - call_many('ZREM', key, ids)
  end
end

local function redrive(w, t, id, out)
  local letter = letters().find_letter(w, id)
  if not letter or letter.expires_at <= t.at then
    return
  end
  letters().drop_letter(w, id)
  local front = pack(id) .. letter.payload
  local new = { id = id, front = front, lane = letter.lane, due = t.at, rank = letter.rank, blocks = true }
  local arrivals = new_arrivals()
  add(w, new, letter.at, arrivals, {})
  write_arrivals(w, arrivals)
  arm(w, t.at, t.at)
  out.cleared = out.cleared + 1
end

-- End the items of some segments but those in `keep`, and the receipts that have none; how many items went.
local function empty_segments(w, first, last, keep, settlement, expires_at)
  local items = {}
  local function gather(seqs, belongs)
    for _, item in ipairs(find_items(w, seqs)) do
      if not keep[item.seq] and belongs(item) then
        items[#items + 1] = item
      end
    end
  end
  gather(finding().batched_after(w, first, 0, last, -1), function() return true end)
  if first <= 0 and w.count > #items then
    local seqs = finding().loose_after(w, 0, w.count)
    for _, seq in ipairs(w.taken) do
      seqs[#seqs + 1] = seq
    end
    gather(seqs, function(item) return item.segment == 0 and item.due ~= NEVER end)
  end
  -- They are not done one by one: `Record.finished` does not count them.
  local finished = w.finished
  end_items(w, items, settlement, expires_at)
  w.finished = finished
  settle_loose(w, first, last, settlement, expires_at)
  return #items
end

local function position_of(list, value)
  for index = 1, #list do
    if list[index] == value then
      return index
    end
  end
end

local function cancel(w, t, id)
  local row = call('HGET', row_key(w, 'receipts'), id)
  if not is_known(row, t.at) then
    return 'not_found'
  end
  local seq, _, _, _, _, settlement = parse_receipt(row)
  if settlement then
    return settlement == 'cancelled' and 'cancelled' or 'done'
  elseif position_of(w.taken, seq) then
    if not position_of(w.cancels, seq) then
      w.cancels[#w.cancels + 1] = seq
    end
    return 'running'
  end
  local items = find_items(w, { seq })
  if #items == 0 then
    return 'not_found'
  end
  take_out(w, t, items, 'cancelled')
  return 'cancelled'
end

local function change(w, t, out)
  for _, id in ipairs(t.redrive) do
    redrive(w, t, id, out)
  end
  for _, id in ipairs(t.discard) do
    out.cleared = out.cleared + letters().drop_letter(w, id)
  end
  -- Both are (segment, …, expires_at).
  local retire, clear = t.retire, t.clear
  if retire then
    empty_segments(w, 0, retire[1], {}, retire[2], retire[3])
  end
  if clear then
    out.cleared = out.cleared + empty_segments(w, clear[1], NEVER, set_of(w.taken), 'cleared', clear[2])
    if clear[1] <= w.segment then
      w.segment_count, w.dues.window = 0, nil
    end
  end
  if retire or clear then
    -- Those of items that are in hand stay.
    w.cancels = without(w.cancels, set_of(without(w.cancels, set_of(w.taken))))
  end
  local answers = {}
  for index, id in ipairs(t.cancel) do
    answers[index] = cancel(w, t, id)
  end
  out.cancelled = answers
end

return { drop_oldest = drop_oldest, remember = remember, change = change }
