-- Leases (`kernel.apply.claim`).

local function claim(w, owner, at, lease_ms, wanted)
  local suspects = w.taken
  if #suspects > 0 then
    put_back(w, suspects)
  end
  w.token, w.owner, w.lease_until, w.deliveries = w.token + 1, owner, at + lease_ms, w.deliveries + 1
  w.taken, w.purge_at = {}, nil
  local items = wanted > 0 and w.count > 0 and not w.held and take(w, at, wanted) or {}
  touch(w)
  return '\147' .. record_reply(w) .. array_of(items) .. pack(suspects)
end

-- Partitions that may have something due: on a standalone server the heads know, but for what this script changed.
local function partitions_to_ask(partitions, at)
  local parts = {}
  if #partitions == 1 then
    parts[partition_prefix(partitions[1])] = true
    return parts
  end
  for part in pairs(earliest_before) do
    parts[part] = true
  end
  for _, part in ipairs(call('ZRANGEBYSCORE', heads_key(), '-inf', digits(at))) do
    parts[part] = true
  end
  return parts
end

-- Give out what is due in some partitions, the earliest first; returns packed claims.
local function serve_claim(request, partitions)
  local owner, at, lease_ms, limit, wanted = unpack(request)
  for _, w in ipairs(touched) do
    store_alarm(w)
  end
  local due = {}
  for part in pairs(partitions_to_ask(partitions, at)) do
    local found = call('ZRANGEBYSCORE', part .. 'alarm', '-inf', digits(at), 'WITHSCORES', 'LIMIT', 0, digits(limit))
    for index = 1, #found, 2 do
      due[#due + 1] = { part = part, instance = found[index], alarm = tonumber(found[index + 1]), place = #due }
    end
  end
  table.sort(due, function(a, b)
    return a.alarm < b.alarm or (a.alarm == b.alarm and a.place < b.place)
  end)
  local claims = {}
  for index = 1, math.min(limit, #due) do
    local w = find_record(due[index].part, due[index].instance)
    claims[index] = claim(w, owner, at, lease_ms, wanted)
  end
  return claims
end
