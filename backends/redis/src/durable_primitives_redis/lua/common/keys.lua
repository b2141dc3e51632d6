-- Where rows are.  All keys of a partition share the hash tag {stem:partition}, so that a script of one partition runs
-- on one node of a cluster.
--
-- A partition:
--   alarm     ZSET instances by `Record.alarm`
--   purge     ZSET instances by the time at which their record may go
--   overfull  SET instances that may have more than MAX_LETTERS dead letters
--   expiry    ZSET instances by the earliest end of a receipt or letter; may be too early, never too late
--   names     ZSET all instances, in lexical order
--   reply:*   STRING the last replies to each client, for batches that are sent again
-- An instance:
--   record    STRING
--   items     HASH padded sequence -> Item as it is sent
--   ready     ZSET free items that wait for nothing, by rank; member: padded sequence
--   waiting   ZSET free items with a due time, by that; member: padded rank and sequence
--   order     ZSET the same ones by sequence
--   retrying  ZSET those of them that were tried before, by due time
--   lanes     ZSET free items with a lane, in lexical order of lane, sequence
--   blocking  ZSET those of them that hold back their successors, in the same order
--   segments  ZSET items of batches, taken ones too, in lexical order of segment, sequence
--   ages      ZSET items that came with a time earlier than their predecessors', by that time
--   receipts  HASH event id -> how it stands
--   loose     ZSET live receipts without an item, by segment
--   expiring  ZSET ends of receipts ('r' and packed ids) and of letters ('l' and the id), by time
--   letters   HASH id -> DeadLetter as it is sent
--   dead      ZSET ids of letters, in lexical order
--   failures  ZSET ids of letters by `failed_at`
-- On a standalone server, where one script may look at every partition:
--   heads     ZSET partitions by their earliest alarm; made anew whenever a store is opened
-- "Free" is what the owner has not in hand.

local call, unpack = redis.call, unpack
-- Lua can pass about 8,000 arguments at once; an even number, so that pairs stay together.
local MOST_ARGUMENTS = 7000

local stem

local function partition_prefix(partition)
  return '{' .. stem .. ':' .. format('%d', partition) .. '}:'
end

local function heads_key()
  return stem .. ':heads'
end

local function row_key(w, kind)
  return w.part .. kind .. ':' .. w.instance
end

-- From here on this script may write although the memory is full: a server refuses that until a script's first write
-- that needs none.
local function write_when_full()
  call('UNLINK', KEYS[1] .. ':none')
end

-- A command with any number of arguments; the sum of its answers, if they are numbers.
local function call_many(command, key, arguments)
  local n = #arguments
  if n == 0 then
    return 0
  elseif n <= MOST_ARGUMENTS then
    return call(command, key, unpack(arguments))
  end
  local total = 0
  for first = 1, n, MOST_ARGUMENTS do
    local answer = call(command, key, unpack(arguments, first, math.min(first + MOST_ARGUMENTS - 1, n)))
    total = total + (type(answer) == 'number' and answer or 0)
  end
  return total
end

-- HMGET with any number of fields.
local function get_many(key, names)
  local n = #names
  if n == 0 then
    return {}
  elseif n <= MOST_ARGUMENTS then
    return call('HMGET', key, unpack(names))
  end
  local values = {}
  for first = 1, n, MOST_ARGUMENTS do
    local last = math.min(first + MOST_ARGUMENTS - 1, n)
    for index, value in ipairs(call('HMGET', key, unpack(names, first, last))) do
      values[first + index - 1] = value
    end
  end
  return values
end

local function padded_all(seqs)
  local names = {}
  for index = 1, #seqs do
    names[index] = padded(seqs[index])
  end
  return names
end
