-- Items and the sets in which they stand.  One that is in the owner's hands (`taken`) is in none of the sets of free
-- items, so that no look for the next one has to skip it.

local RANK_OFFSET = 50000000000000

local function waiting_member(rank, seq)
  return padded(rank + RANK_OFFSET) .. padded(seq)
end

local function lane_member(lane, seq)
  return lane .. '\0' .. padded(seq)
end

local function segment_member(segment, seq)
  return padded(segment) .. padded(seq)
end

-- An item's row without its payload.
local function parse_item(row)
  local offset, seq, id = unpack_limit(row, 2, 1)
  local _, at, lane, due, rank, segment, attempt, delivery, problem, blocks =
    unpack_limit(row, 9, skip_bytes(row, offset))
  return {
    seq = seq, id = id, at = at, lane = lane, due = due, rank = rank, segment = segment, attempt = attempt,
    delivery = delivery, error = problem, blocks = blocks,
  }
end

-- Those of the items that exist.
local function find_items(w, seqs)
  local items = {}
  for _, row in ipairs(get_many(row_key(w, 'items'), padded_all(seqs))) do
    if row then
      items[#items + 1] = parse_item(row)
    end
  end
  return items
end

-- Which of the counts of a record follow a set.
local COUNTED = { waiting = 'waiting', blocking = 'blocking', lanes = 'keyed', ages = 'aged' }

-- Pairs of score and member on their way into a set, by its name.
local function add_pair(pairs_of, kind, score, member)
  local list = pairs_of[kind]
  if not list then
    pairs_of[kind] = { score, member }
    return
  end
  local n = #list
  list[n + 1], list[n + 2] = score, member
end

local function add_to_sets(w, pairs_of)
  for kind, list in pairs(pairs_of) do
    local added = call_many('ZADD', row_key(w, kind), list)
    local count = COUNTED[kind]
    if count then
      w[count] = w[count] + added
    end
  end
end

-- Members that leave a set, by its name.
local function add_member(members_of, kind, member)
  local list = members_of[kind]
  if list then
    list[#list + 1] = member
  else
    members_of[kind] = { member }
  end
end

local function remove_from_sets(w, members_of)
  for kind, list in pairs(members_of) do
    local removed = call_many('ZREM', row_key(w, kind), list)
    local count = COUNTED[kind]
    if count then
      w[count] = w[count] - removed
    end
  end
end

-- Note a free item in the sets to which it belongs.
local function offer(pairs_of, item)
  local due, seq, lane = item.due, item.seq, item.lane
  if due == 0 then
    add_pair(pairs_of, 'ready', item.rank, padded(seq))
  elseif due < NEVER then
    add_pair(pairs_of, 'waiting', due, waiting_member(item.rank, seq))
    add_pair(pairs_of, 'order', seq, padded(seq))
    if item.attempt > 0 then
      add_pair(pairs_of, 'retrying', due, padded(seq))
    end
  end
  if lane then
    add_pair(pairs_of, 'lanes', 0, lane_member(lane, seq))
    if due > 0 and item.blocks then
      add_pair(pairs_of, 'blocking', 0, lane_member(lane, seq))
    end
  end
end

-- The opposite of `offer`.
local function withdraw(members_of, item)
  local due, seq, lane = item.due, item.seq, item.lane
  if due == 0 then
    add_member(members_of, 'ready', padded(seq))
  elseif due < NEVER then
    add_member(members_of, 'waiting', waiting_member(item.rank, seq))
    add_member(members_of, 'order', padded(seq))
    if item.attempt > 0 then
      add_member(members_of, 'retrying', padded(seq))
    end
  end
  if lane then
    add_member(members_of, 'lanes', lane_member(lane, seq))
    if due > 0 and item.blocks then
      add_member(members_of, 'blocking', lane_member(lane, seq))
    end
  end
end

-- Put items that were in hand back among the free ones.
local function put_back(w, seqs)
  local pairs_of = {}
  for _, item in ipairs(find_items(w, seqs)) do
    offer(pairs_of, item)
  end
  add_to_sets(w, pairs_of)
end
