-- Reading a batch: `Transition` and its parts, by position.  All of it is read before anything is written.

local function read_item(buffer, offset)
  local item = {}
  local _
  offset, item.seq, item.id = unpack_limit(buffer, 2, offset + 1)
  item.payload, offset = read_bytes(buffer, offset)
  offset, item.at, item.lane, item.due, item.rank, item.segment, item.attempt, item.delivery, item.error, item.blocks =
    unpack_limit(buffer, 9, offset)
  return item, offset
end

local function read_removal(buffer, offset)
  local removal = {}
  removal.item, offset = read_item(buffer, offset + 1)
  offset, removal.settlement, removal.expires_at = unpack_limit(buffer, 2, offset)
  return removal, offset
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

local function read_new_item(buffer, offset)
  local new = {}
  offset, new.id = unpack_one(buffer, offset + 1)
  new.payload, offset = read_bytes(buffer, offset)
  offset, new.lane, new.due, new.rank, new.fresh, new.blocks = unpack_limit(buffer, 5, offset)
  return new, offset
end

local function read_create(buffer, offset)
  if byte(buffer, offset + 1) == 0xc0 then
    return nil, offset + 1
  end
  local create = {}
  offset, create.status = unpack_one(buffer, offset + 1)
  create.data, offset = read_bytes(buffer, offset)
  offset, create.segment, create.linger_ms = unpack_limit(buffer, 2, offset)
  return create, offset
end

local function read_put(buffer, offset)
  if byte(buffer, offset + 1) == 0xc0 then
    return nil, offset + 1
  end
  local put = {}
  offset, put.status = unpack_one(buffer, offset + 1)
  put.data, offset = read_bytes(buffer, offset)
  offset, put.held, put.linger_ms = unpack_limit(buffer, 2, offset)
  return put, offset
end

local function read_each(buffer, offset, read)
  local list = {}
  local count
  count, offset = read_array(buffer, offset)
  for index = 1, count do
    list[index], offset = read(buffer, offset)
  end
  return list, offset
end

local function named(values, ...)
  if not values then
    return nil
  end
  local parts = {}
  for index, name in ipairs({ ... }) do
    parts[name] = values[index]
  end
  return parts
end

local function read_transition(buffer, offset)
  local t = {}
  local count, guard, retire, clear, batching
  count, offset = read_array(buffer, offset)
  if count ~= 25 then
    error('malformed batch: a transition of ' .. count .. ' fields')
  end
  offset, t.instance, t.at, guard, t.erase = unpack_limit(buffer, 4, offset)
  t.guard = named(guard, 'exists', 'version', 'generation', 'token', 'segment', 'room')
  t.create, offset = read_create(buffer, offset)
  offset, t.remember = unpack_one(buffer, offset)
  t.put, offset = read_put(buffer, offset)
  t.remove, offset = read_each(buffer, offset, read_removal)
  t.reschedule, offset = read_each(buffer, offset, read_reschedule)
  offset, t.give_back = unpack_one(buffer, offset)
  t.mark, offset = read_each(buffer, offset, read_item)
  t.bury, offset = read_each(buffer, offset, read_burial)
  offset, t.redrive, t.discard, retire, clear, t.cancel = unpack_limit(buffer, 5, offset)
  t.retire = named(retire, 'segment', 'settlement', 'expires_at')
  t.clear = named(clear, 'segment', 'expires_at')
  t.append, offset = read_each(buffer, offset, read_new_item)
  offset, batching, t.on_full, t.seal, t.dues, t.progress, t.take, t.release = unpack_limit(buffer, 7, offset)
  t.batching = named(batching, 'max_items', 'window_ms')
  return t, offset
end
