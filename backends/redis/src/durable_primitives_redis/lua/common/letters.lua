-- Dead letters, each a packed `DeadLetter`.

local MAX_LETTERS = 10000

local function keep_letter(w, id, row, failed_at, expires_at)
  local key = row_key(w, 'letters')
  call('HSET', key, id, row)
  call('ZADD', row_key(w, 'dead'), 0, id)
  call('ZADD', row_key(w, 'failures'), failed_at, id)
  note_expiry(w, 'l' .. id, expires_at)
  if call('HLEN', key) > MAX_LETTERS then
    call('SADD', w.part .. 'overfull', w.instance)
  end
end

local function drop_letter(w, id)
  call('ZREM', row_key(w, 'dead'), id)
  call('ZREM', row_key(w, 'failures'), id)
  call('ZREM', row_key(w, 'expiring'), 'l' .. id)
  return call('HDEL', row_key(w, 'letters'), id)
end

-- How many letters an instance has too many.
local function excess_letters(w)
  return call('HLEN', row_key(w, 'letters')) - MAX_LETTERS
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

return {
  keep_letter = keep_letter, drop_letter = drop_letter, find_letter = find_letter, excess_letters = excess_letters,
}
