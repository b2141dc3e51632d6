-- Dead letters, each a packed `DeadLetter`.

local function keep_letter(w, id, row, expires_at)
  call('HSET', row_key(w, 'letters'), id, row)
  call('ZADD', row_key(w, 'dead'), 0, id)
  note_expiry(w, 'l' .. id, expires_at)
end

local function drop_letter(w, id)
  call('ZREM', row_key(w, 'dead'), id)
  call('ZREM', row_key(w, 'expiring'), 'l' .. id)
  return call('HDEL', row_key(w, 'letters'), id)
end

-- What a redrive needs: the payload with its header, lane, rank, at and expires_at.
local function find_letter(w, id)
  local row = call('HGET', row_key(w, 'letters'), id)
  if not row then
    return nil
  end
  local payload, lane, rank, at, expires_at, _
  local offset = unpack_one(row, 1)
  payload, offset = read_bytes(row, offset)
  _, lane, rank, at, _, _, _, _, expires_at = unpack_limit(row, 8, offset)
  return { payload = payload, lane = lane, rank = rank, at = at, expires_at = expires_at }
end

return { keep_letter = keep_letter, drop_letter = drop_letter, find_letter = find_letter }
