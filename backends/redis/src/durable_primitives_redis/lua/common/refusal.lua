-- Whether a transition may apply (`kernel.apply._refusal`): the verdict that refuses it, or nil.

-- A `Guard` is (exists, version, generation, token, segment, room).
local function guard_refusal(guard, w)
  local exists, version, generation, token, segment = guard[1], guard[2], guard[3], guard[4], guard[5]
  if token ~= nil and not (w.exists and w.owner and w.token == token) then
    return 'fenced'
  elseif generation ~= nil and not (w.exists and w.generation == generation) then
    return 'fenced'
  elseif exists ~= nil and exists ~= is_live(w) then
    return 'conflict'
  elseif version ~= nil and not (w.exists and w.version == version) then
    return 'conflict'
  elseif segment ~= nil and not (w.exists and w.segment == segment) then
    return 'conflict'
  end
end

-- The rows of those of the ids that are remembered, by id.
local function known_receipts(w, ids, at)
  if not w.exists or #ids == 0 then
    return {}
  end
  local known, rows = {}, get_many(row_key(w, 'receipts'), ids)
  for index, id in ipairs(ids) do
    if is_known(rows[index], at) then
      known[id] = rows[index]
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
    if not new.id then
      count = count + 1
    elseif not seen[new.id] then
      seen[new.id] = true
      if new.fresh or not known[new.id] then
        count = count + 1
      end
    end
  end
  return count
end

local function set_of(list)
  local set = {}
  for index = 1, #list do
    set[list[index]] = true
  end
  return set
end

-- Whether every item that the owner speaks of is in its hands, and spoken of once: half of it would be wrong.
local function is_in_hand(t, w)
  local seqs = {}
  for _, changes in ipairs({ t.remove, t.reschedule, t.mark, t.bury }) do
    for _, change in ipairs(changes) do
      -- A removal is read as its item; the burial of a batch has none.
      seqs[#seqs + 1] = (change.item or change).seq
    end
  end
  for _, seq in ipairs(t.give_back) do
    seqs[#seqs + 1] = seq
  end
  if #seqs == 0 then
    return true
  end
  local in_hand = set_of(w.taken)
  for _, seq in ipairs(seqs) do
    if t.erase or not in_hand[seq] then
      return false
    end
    in_hand[seq] = nil
  end
  return true
end

local function refusal(t, w)
  local guard = t.guard
  if guard then
    local verdict = guard_refusal(guard, w)
    if verdict then
      return verdict
    end
    local room = guard[6]
    if room ~= nil and t.on_full == 'reject' and #t.append > 0 then
      local new = count_new(t, w)
      if new > 0 and new + w.count > room then
        return 'full'
      end
    end
  end
  if #t.remember > 0 and next(known_receipts(w, t.remember, t.at)) then
    return 'duplicate'
  end
  if not is_in_hand(t, w) then
    return 'conflict'
  end
end
