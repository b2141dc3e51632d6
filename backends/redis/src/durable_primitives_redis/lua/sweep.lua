-- Delete at most `budget` rows that outlived their retention or are too many: `Storage.sweep`, in some partitions.
--
-- keys: any key of the partition
-- arguments: a packed `SweepRequest`
-- replies: how many rows went
-- complexity: O(log n) for each row; an instance that goes is unlinked, its rows are freed in the background
-- uses: wire keys record receipts letters? erasing?

-- Ends of receipts, each for the events of one transition, that are looked at together.
local PAGE = 100

local partitions, now, budget
stem, partitions, now, budget = unpack(cmsgpack.unpack(ARGV[1]))

local gone = 0
write_when_full()

-- Receipts of one transition; what is over the budget stays.
local function sweep_receipts(w, member, score)
  local ids = cmsgpack.unpack(sub(member, 2))
  local room = budget - gone
  local ending, left = {}, {}
  local rows = get_many(row_key(w, 'receipts'), ids)
  for index, id in ipairs(ids) do
    local row = rows[index]
    -- An id that was used again has another receipt now.
    if row and not is_known(row, now) then
      local list = #ending < room and ending or left
      list[#list + 1] = id
    end
  end
  gone = gone + call_many('HDEL', row_key(w, 'receipts'), ending)
  call('ZREM', row_key(w, 'expiring'), member)
  if #left > 0 then
    call('ZADD', row_key(w, 'expiring'), score, 'r' .. pack(left))
  end
end

local function sweep_instance(w)
  local key = row_key(w, 'expiring')
  repeat
    local found = call('ZRANGEBYSCORE', key, '-inf', digits(now), 'WITHSCORES', 'LIMIT', 0, PAGE)
    for index = 1, #found, 2 do
      if gone >= budget then
        break
      end
      local member = found[index]
      if byte(member) == 0x6c then
        gone = gone + letters().drop_letter(w, sub(member, 2))
      else
        sweep_receipts(w, member, found[index + 1])
      end
    end
  until gone >= budget or #found == 0
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  if first then
    call('ZADD', w.part .. 'expiry', first, w.instance)
  else
    call('ZREM', w.part .. 'expiry', w.instance)
  end
end

-- The oldest of too many letters.
local function sweep_letters(w)
  local excess = letters().excess_letters(w)
  local going = math.min(excess, budget - gone)
  if going > 0 then
    for _, id in ipairs(call('ZRANGE', row_key(w, 'failures'), 0, going - 1)) do
      gone = gone + letters().drop_letter(w, id)
    end
  end
  if going == excess or excess <= 0 then
    call('SREM', w.part .. 'overfull', w.instance)
  end
end

-- The record goes with everything, unless it has letters: then it waits for the first end of anything.
local function sweep_record(w)
  if call('EXISTS', row_key(w, 'letters')) == 1 then
    local first = call('ZRANGE', row_key(w, 'expiring'), 0, 0, 'WITHSCORES')[2]
    call('ZADD', w.part .. 'purge', first, w.instance)
    return
  end
  erasing().delete_rows(w)
  call('UNLINK', w.part .. 'record:' .. w.instance)
  call('ZREM', w.part .. 'names', w.instance)
  call('ZREM', w.part .. 'purge', w.instance)
  gone = gone + 1
end

-- Walk through the instances of a set that are due; each step takes its instance out of the range.
local function sweep_due(part, kind, step)
  while gone < budget do
    local instance = call('ZRANGEBYSCORE', part .. kind, '-inf', digits(now), 'LIMIT', 0, 1)[1]
    if not instance then
      return
    end
    step({ part = part, instance = instance })
  end
end

for _, partition in ipairs(partitions) do
  local part = partition_prefix(partition)
  sweep_due(part, 'expiry', sweep_instance)
  for _, instance in ipairs(call('SMEMBERS', part .. 'overfull')) do
    sweep_letters({ part = part, instance = instance })
  end
  sweep_due(part, 'purge', sweep_record)
end
return gone
