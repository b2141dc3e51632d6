-- What the store says of itself, noted by the first who opens it.
--
-- keys: the HASH of the namespace's settings
-- arguments: names and values of the settings to note if there are none
-- replies: the settings that hold, names and values in turn
-- complexity: O(1)
-- uses:

if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], unpack(ARGV))
end
return redis.call('HGETALL', KEYS[1])
