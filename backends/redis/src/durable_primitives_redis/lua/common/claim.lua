-- Leases (`kernel.apply.claim`).

local function claim(w, owner, at, lease_ms, wanted)
  local suspects = w.taken
  if #suspects > 0 then
    put_back(w, suspects)
  end
  -- Also where a purge forgot the last token, this one is above it.
  w.token = math.max(w.token + 1, at)
  w.owner, w.lease_until, w.deliveries = owner, at + lease_ms, w.deliveries + 1
  w.taken, w.purge_at = {}, nil
  local items = wanted > 0 and w.count > 0 and not w.held and take(w, at, wanted) or {}
  touch(w)
  return '\147' .. record_reply(w) .. array_of(items) .. pack(suspects)
end

-- Partitions that had something due when this script began: on a standalone server the heads know.
local function partitions_to_ask(partitions, at)
  if #partitions == 1 then
    return { partition_prefix(partitions[1]) }
  end
  return call('ZRANGEBYSCORE', heads_key(), '-inf', digits(at))
end

-- Instances that are due.  Those that this script touched are known here, and not yet in the index of alarms.
local function find_due(partitions, at, limit)
  local due = {}
  for _, w in ipairs(touched) do
    local alarm = alarm_of(w)
    if alarm and alarm <= at then
      due[#due + 1] = { part = w.part, instance = w.instance, alarm = alarm, place = #due }
    end
  end
  local most = digits(limit + #touched)
  for _, part in ipairs(partitions_to_ask(partitions, at)) do
    local found = call('ZRANGEBYSCORE', part .. 'alarm', '-inf', digits(at), 'WITHSCORES', 'LIMIT', 0, most)
    for index = 1, #found, 2 do
      local instance = found[index]
      if not (records[instance] and records[instance].touched) then
        due[#due + 1] = { part = part, instance = instance, alarm = tonumber(found[index + 1]), place = #due }
      end
    end
  end
  return due
end

local DAMAGED_RECHECK_MS = 300000

-- Give out what is due in some partitions, the earliest first, as far as the reply has room; returns packed claims, and
-- the names of those that it put off because they are damaged.
local function serve_claim(request, partitions)
  local owner, at, lease_ms, limit, wanted = unpack(request)
  local due = find_due(partitions, at, limit)
  table.sort(due, function(a, b)
    return a.alarm < b.alarm or (a.alarm == b.alarm and a.place < b.place)
  end)
  local claims, damaged = {}, {}
  for index = 1, math.min(limit, #due) do
    if #claims > 0 and not has_room() then
      break
    end
    local part, instance = due[index].part, due[index].instance
    local readable, w = pcall(find_record, part, instance)
    if readable then
      note_sent(#w.data)
      claims[#claims + 1] = claim(w, owner, at, lease_ms, wanted)
    else
      put_off(part, instance, at + DAMAGED_RECHECK_MS)
      damaged[#damaged + 1] = pack(instance)
    end
  end
  return claims, damaged
end
