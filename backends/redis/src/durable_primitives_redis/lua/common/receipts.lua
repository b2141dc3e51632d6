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
  local changes, settled, n = {}, {}, 0
  local rows = get_many(key, ids)
  for index, id in ipairs(ids) do
    local row = rows[index]
    if row and (not choose or choose(row)) then
      if byte(row) == SETTLED then
        local seq, position, due, rank, segment = parse_receipt(row)
        row = live_receipt(seq, position, due, rank, segment)
      end
      n = n + 1
      settled[n] = id
      changes[2 * n - 1], changes[2 * n] = id, '\151' .. sub(row, 2) .. ending
    end
  end
  if n > 0 then
    call_many('HSET', key, changes)
    note_expiry(w, 'r' .. pack(settled), expires_at)
  end
end
