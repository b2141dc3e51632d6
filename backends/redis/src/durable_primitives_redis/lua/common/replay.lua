-- Replies to batches that are sent again because the first reply was lost.  A client numbers its batches and never has
-- more in flight than it has keys for replies, so the number that is kept there says what became of a batch.

-- Longer than a client repeats itself, and than bytes of a broken connection can be late.
local REPLY_TTL_MS = 600000

-- The reply that this batch got before, or nil if it is new.
local function earlier_reply(key, number)
  local last = tonumber(call('GETRANGE', key, 0, 13))
  if not last or last < number then
    return nil
  elseif last > number then
    return redis.error_reply('STALE batch ' .. digits(number) .. ' was answered and forgotten')
  end
  return sub(call('GET', key), 15)
end

local function keep_reply(key, number, reply)
  call('SET', key, padded(number) .. reply, 'PX', REPLY_TTL_MS)
end
