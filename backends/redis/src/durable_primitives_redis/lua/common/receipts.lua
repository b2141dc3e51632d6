-- Receipts: '\149' and (seq, position, due, rank, segment) while the event is live, '\151' and two more, (settlement,
-- expires_at), when it has ended: with the id before them, the fields of `Receipt`.

local LIVE, SETTLED = 0x95, 0x97

local function live_receipt(seq, position, due, rank, segment)
  return '\149' .. pack(seq, position, due, rank, segment)
end

-- seq, position, due, rank, segment, settlement, expires_at
local function parse_receipt(row)
  return cmsgpack.unpack(sub(row, 2))
end

-- Whether an id is still remembered: a window that is over counts for nothing, swept or not.
local function is_known(row, at)
  if not row then
    return false
  elseif byte(row) == LIVE then
    return true
  end
  local _, _, _, _, _, _, expires_at = parse_receipt(row)
  return expires_at > at
end

-- As the kernel's `Receipt`.
local function receipt_reply(id, row)
  return (byte(row) == LIVE and '\150' or '\152') .. pack(id) .. sub(row, 2)
end

local function note_expiry(w, member, expires_at)
  call('ZADD', row_key(w, 'expiring'), expires_at, member)
  call('ZADD', w.part .. 'expiry', 'LT', expires_at, w.instance)
end

-- Settle the receipts of some events; with `choose`, those of which it is true.
local function settle_receipts(w, ids, settlement, expires_at, choose)
  if #ids == 0 then
    return
  end
  local key = row_key(w, 'receipts')
  local ending = pack(settlement, expires_at)
  local changes, settled = {}, {}
  local rows = get_many(key, ids)
  for index, id in ipairs(ids) do
    local row = rows[index]
    if row and (not choose or choose(row)) then
      if byte(row) == SETTLED then
        local seq, position, due, rank, segment = parse_receipt(row)
        row = live_receipt(seq, position, due, rank, segment)
      end
      local n = #settled + 1
      settled[n] = id
      changes[2 * n - 1], changes[2 * n] = id, '\151' .. sub(row, 2) .. ending
    end
  end
  if #settled > 0 then
    call_many('HSET', key, changes)
    note_expiry(w, 'r' .. pack(settled), expires_at)
  end
end

-- The receipts of events that were moved: `dues` by id.
local function move_receipts(w, ids, dues)
  local key = row_key(w, 'receipts')
  local changes = {}
  local rows = get_many(key, ids)
  for index, id in ipairs(ids) do
    local row = rows[index]
    if row then
      local seq, position, _, rank, segment, settlement, expires_at = parse_receipt(row)
      local moved = live_receipt(seq, position, dues[index], rank, segment)
      if settlement then
        moved = '\151' .. sub(moved, 2) .. pack(settlement, expires_at)
      end
      changes[#changes + 1] = id
      changes[#changes + 1] = moved
    end
  end
  call_many('HSET', key, changes)
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

local function has_no_item(row)
  return byte(row) == LIVE and (parse_receipt(row)) == 0
end

-- Settle the live receipts without an item of some segments.
local function settle_loose(w, first, last, settlement, expires_at)
  if w.loose == 0 then
    return
  end
  local key = row_key(w, 'loose')
  local ids = call('ZRANGEBYSCORE', key, first, last)
  settle_receipts(w, ids, settlement, expires_at, has_no_item)
  w.loose = w.loose - call_many('ZREM', key, ids)
end
