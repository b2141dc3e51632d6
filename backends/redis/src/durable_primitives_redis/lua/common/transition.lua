-- Reading a batch: `Transition` and its parts, by position.  All of it is read before anything is written.

local NOTHING = {}

local function read_each(buffer, offset, read)
  local count
  count, offset = read_array(buffer, offset)
  if count == 0 then
    return NOTHING, offset
  end
  local list = {}
  for index = 1, count do
    list[index], offset = read(buffer, offset)
  end
  return list, offset
end

-- An item that leaves; its payload is not needed.
local function read_removal(buffer, offset)
  local seq, id, at, lane, due, rank, segment, attempt, delivery, problem, blocks, settlement, expires_at
  offset, seq, id = unpack_limit(buffer, 2, offset + 2)
  offset, at, lane, due, rank, segment, attempt, delivery, problem, blocks, settlement, expires_at =
    unpack_limit(buffer, 11, skip_bytes(buffer, offset))
  return {
    seq = seq, id = id, lane = lane, due = due, rank = rank, segment = segment, attempt = attempt, blocks = blocks,
    settlement = settlement, expires_at = expires_at,
  }, offset
end

-- Its `front` is id and payload as they came, and as they stand in an item.
local function read_new_item(buffer, offset)
  local id, lane, due, rank, fresh, blocks
  local start = offset + 2
  offset, id = unpack_one(buffer, offset + 1)
  offset = skip_bytes(buffer, offset)
  local front = sub(buffer, start, offset)
  offset, lane, due, rank, fresh, blocks = unpack_limit(buffer, 5, offset)
  return { id = id, front = front, lane = lane, due = due, rank = rank, fresh = fresh, blocks = blocks }, offset
end

-- `Create` and `Put`: both are a status, data, and two more.
local function read_writing(buffer, offset)
  if byte(buffer, offset + 1) == 0xc0 then
    return nil, offset + 1
  end
  local status, data, third, linger_ms
  offset, status = unpack_one(buffer, offset + 1)
  data, offset = read_bytes(buffer, offset)
  offset, third, linger_ms = unpack_limit(buffer, 2, offset)
  return { status = status, data = data, third = third, linger_ms = linger_ms }, offset
end

-- From `remember` to `cancel`, in a transition that has none of that, as one that only appends.
local NO_CHANGES = '\144\192\144\144\144\144\144\144\144\192\192\144'

local function read_transition(buffer, offset)
  local instance, at, guard, erase, create, remember, put, remove, reschedule, give_back, mark, bury, redrive, discard,
    retire, clear, cancel, append, batching, on_full, seal, dues, progress, take, release, count
  count, offset = read_array(buffer, offset)
  if count ~= 25 then
    error('malformed batch: a transition of ' .. count .. ' fields')
  end
  offset, instance, at, guard, erase = unpack_limit(buffer, 4, offset)
  create, offset = read_writing(buffer, offset)
  if sub(buffer, offset + 1, offset + #NO_CHANGES) == NO_CHANGES then
    remember, remove, reschedule, give_back, mark, bury = NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING
    redrive, discard, cancel, offset = NOTHING, NOTHING, NOTHING, offset + #NO_CHANGES
  else
    offset, remember = unpack_one(buffer, offset)
    put, offset = read_writing(buffer, offset)
    remove, offset = read_each(buffer, offset, read_removal)
    local a, b, c, d = byte(buffer, offset + 1, offset + 4)
    if a == 0x90 and b == 0x90 and c == 0x90 and d == 0x90 then
      reschedule, give_back, mark, bury, offset = NOTHING, NOTHING, NOTHING, NOTHING, offset + 4
    else
      reschedule, offset = read_each(buffer, offset, moving().read_reschedule)
      offset, give_back = unpack_one(buffer, offset)
      mark, offset = read_each(buffer, offset, moving().read_item)
      bury, offset = read_each(buffer, offset, moving().read_burial)
    end
    offset, redrive, discard, retire, clear, cancel = unpack_limit(buffer, 5, offset)
  end
  append, offset = read_each(buffer, offset, read_new_item)
  offset, batching, on_full, seal, dues, progress, take, release = unpack_limit(buffer, 7, offset)
  return {
    part = nil, instance = instance, at = at, guard = guard, erase = erase, create = create, remember = remember,
    put = put, remove = remove, reschedule = reschedule, give_back = give_back, mark = mark, bury = bury,
    redrive = redrive, discard = discard, retire = retire, clear = clear, cancel = cancel, append = append,
    batching = batching, on_full = on_full, seal = seal, dues = dues, progress = progress, take = take,
    release = release,
  }, offset
end
