-- Items in hand that stay in the store, and those that die: `Reschedule`, `mark`, `Burial`, `give_back`.

local function read_item(buffer, offset)
  local seq, id, payload, at, lane, due, rank, segment, attempt, delivery, problem, blocks
  offset, seq, id = unpack_limit(buffer, 2, offset + 1)
  payload, offset = read_bytes(buffer, offset)
  offset, at, lane, due, rank, segment, attempt, delivery, problem, blocks = unpack_limit(buffer, 9, offset)
  return {
    seq = seq, id = id, payload = payload, at = at, lane = lane, due = due, rank = rank, segment = segment,
    attempt = attempt, delivery = delivery, error = problem, blocks = blocks,
  }, offset
end

local function read_reschedule(buffer, offset)
  local change = {}
  change.item, offset = read_item(buffer, offset + 1)
  offset, change.due, change.attempt, change.delivery, change.error, change.blocks = unpack_limit(buffer, 5, offset)
  return change, offset
end

local function read_burial(buffer, offset)
  local burial = {}
  offset, burial.id = unpack_one(buffer, offset + 1)
  if byte(buffer, offset + 1) == 0xc0 then
    offset = offset + 1
  else
    burial.item, offset = read_item(buffer, offset)
  end
  burial.payload, offset = read_bytes(buffer, offset)
  offset, burial.attempts, burial.error, burial.count, burial.expires_at = unpack_limit(buffer, 4, offset)
  return burial, offset
end

local function item_row(item, payload)
  return '\156' .. pack(item.seq, item.id) .. payload
    .. pack(item.at, item.lane, item.due, item.rank, item.segment, item.attempt, item.delivery, item.error, item.blocks)
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

-- Store items as they are now; their receipts follow the due time.
local function move_items(w, moves, in_hand)
  local rows, ids, dues = {}, {}, {}
  local members_of, pairs_of = {}, {}
  for _, move in ipairs(moves) do
    local from, to = move.from, move.to
    rows[#rows + 1], rows[#rows + 2] = padded(to.seq), item_row(to, from.payload)
    if not in_hand[from.seq] then
      withdraw(members_of, from)
    end
    if not move.stays then
      offer(pairs_of, to)
    end
    if from.segment == 0 and (from.due == NEVER) ~= (to.due == NEVER) then
      if to.due == NEVER then
        add_pair(pairs_of, 'segments', 0, segment_member(0, to.seq))
      else
        add_member(members_of, 'segments', segment_member(0, to.seq))
      end
    end
    if from.id and from.due ~= to.due then
      ids[#ids + 1], dues[#dues + 1] = from.id, to.due
    end
  end
  remove_from_sets(w, members_of)
  add_to_sets(w, pairs_of)
  call_many('HSET', row_key(w, 'items'), rows)
  move_receipts(w, ids, dues)
end

local function keep_letters(w, burials, at)
  for _, burial in ipairs(burials) do
    local item = burial.item or { rank = 0, at = at }
    local row = '\154' .. pack(burial.id) .. burial.payload .. pack(item.lane, item.rank, item.at, at, burial.attempts,
      burial.error, burial.count, burial.expires_at)
    letters().keep_letter(w, burial.id, row, at, burial.expires_at)
  end
end

local function rescheduled(change)
  local from = change.item
  return {
    seq = from.seq, id = from.id, at = from.at, lane = from.lane, due = change.due, rank = from.rank,
    segment = from.segment, attempt = change.attempt, delivery = change.delivery, error = change.error,
    blocks = change.blocks,
  }
end

-- Do all of it, but for the removals of a transition; `left` are the sequences that leave the owner's hands.
local function move(w, t, left)
  keep_letters(w, t.bury, t.at)
  local in_hand, moves = set_of(w.taken), {}
  for _, change in ipairs(t.reschedule) do
    moves[#moves + 1] = { from = change.item, to = rescheduled(change) }
    left[change.item.seq] = true
  end
  for _, item in ipairs(t.mark) do
    moves[#moves + 1] = { from = item, to = item, stays = in_hand[item.seq] }
  end
  if #moves > 0 then
    move_items(w, moves, in_hand)
  end
  local returned = {}
  for _, seq in ipairs(t.give_back) do
    left[seq] = true
    if in_hand[seq] then
      returned[#returned + 1] = seq
    end
  end
  put_back(w, returned)
end

return { read_item = read_item, read_reschedule = read_reschedule, read_burial = read_burial, move = move }
