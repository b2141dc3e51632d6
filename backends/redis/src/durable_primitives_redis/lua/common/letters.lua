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

local function letter_row(id, payload, lane, rank, at, failed_at, attempts, problem, count, expires_at)
  return '\154' .. pack(id) .. payload .. pack(lane, rank, at, failed_at, attempts, problem, count, expires_at)
end

-- What a redrive needs: the payload with its header, lane, rank, at and expires_at.
local function find_letter(w, id)
  local row = call('HGET', row_key(w, 'letters'), id)
  if not row then
    return nil
  end
  local letter = {}
  local offset = unpack_one(row, 1)
  letter.payload, offset = read_bytes(row, offset)
  offset, letter.lane, letter.rank, letter.at, letter.failed_at, letter.attempts, letter.problem, letter.count,
    letter.expires_at = unpack_limit(row, 8, offset)
  return letter
end
