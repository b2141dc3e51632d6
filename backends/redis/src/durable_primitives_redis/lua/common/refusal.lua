-- Whether a transition may apply (`kernel.apply._refusal`): the verdict that refuses it, or nil.

local function guard_refusal(guard, w)
  if guard.token ~= nil and not (w.exists and w.owner and w.token == guard.token) then
    return 'fenced'
  elseif guard.generation ~= nil and not (w.exists and w.generation == guard.generation) then
    return 'fenced'
  elseif guard.exists ~= nil and guard.exists ~= is_live(w) then
    return 'conflict'
  elseif guard.version ~= nil and not (w.exists and w.version == guard.version) then
    return 'conflict'
  elseif guard.segment ~= nil and not (w.exists and w.segment == guard.segment) then
    return 'conflict'
  end
end

-- The rows of those of the ids that are remembered, by id.
local function known_receipts(w, ids, at)
  local known = {}
  if w.exists and #ids > 0 then
    local rows = get_many(row_key(w, 'receipts'), ids)
    for index, id in ipairs(ids) do
      if is_known(rows[index], at) then
        known[id] = rows[index]
      end
    end
  end
  return known
end

-- Ids of an append that may be duplicates.
local function ids_to_check(append)
  local ids = {}
  for _, new in ipairs(append) do
    if new.id and not new.fresh then
      ids[#ids + 1] = new.id
    end
  end
  return ids
end

-- How many of the appended items are no duplicates, of stored ones or of each other.
local function count_new(t, w)
  local known = known_receipts(w, ids_to_check(t.append), t.at)
  local count, seen = 0, {}
  for index = #t.append, 1, -1 do
    -- Of those that share an id the last one counts.
    local new = t.append[index]
    if not new.id or not seen[new.id] then
      if not new.id or new.fresh or not known[new.id] then
        count = count + 1
      end
      if new.id then
        seen[new.id] = true
      end
    end
  end
  return count
end

local function refusal(t, w)
  local guard = t.guard
  if guard then
    local verdict = guard_refusal(guard, w)
    if verdict then
      return verdict
    end
    if guard.room ~= nil and t.on_full == 'reject' and #t.append > 0 then
      local new = count_new(t, w)
      if new > 0 and new + (w.exists and w.count or 0) > guard.room then
        return 'full'
      end
    end
  end
  if next(known_receipts(w, t.remember, t.at)) then
    return 'duplicate'
  end
end
