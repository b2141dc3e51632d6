-- Items: where they stand, and which come next.  An item that is in the owner's hands (`taken`) is in none of the sets
-- of free items, so that no look for the next one has to skip it.

local RANK_OFFSET = 4503599627370496

local function waiting_member(rank, seq)
  return padded(rank + RANK_OFFSET) .. padded(seq)
end

local function lane_member(lane, seq)
  return lane .. '\0' .. padded(seq)
end

local function segment_member(segment, seq)
  return padded(segment) .. padded(seq)
end

-- An item's row with its payload left out.
local function parse_item(row)
  local item = {}
  local offset
  offset, item.seq, item.id = unpack_limit(row, 2, 1)
  item.payload_at = offset
  offset = skip_bytes(row, offset)
  offset, item.at, item.lane, item.due, item.rank, item.segment, item.attempt, item.delivery, item.error, item.blocks =
    unpack_limit(row, 9, offset)
  return item
end

local function find_item(w, seq)
  local row = call('HGET', row_key(w, 'items'), field(seq))
  return row and parse_item(row)
end

-- Those of the items that exist.
local function find_items(w, seqs)
  local items = {}
  for _, row in ipairs(get_many(row_key(w, 'items'), fields(seqs))) do
    if row then
      items[#items + 1] = parse_item(row)
    end
  end
  return items
end

local function item_row(item, payload)
  return '\156' .. pack(item.seq, item.id) .. payload
    .. pack(item.at, item.lane, item.due, item.rank, item.segment, item.attempt, item.delivery, item.error, item.blocks)
end

-- Pairs of score and member on their way into the sets, by the name of the set.
local function add_pair(pairs_of, kind, score, member)
  local list = pairs_of[kind]
  if not list then
    list = {}
    pairs_of[kind] = list
  end
  local n = #list
  list[n + 1], list[n + 2] = score, member
end

local function add_member(members_of, kind, member)
  local list = members_of[kind]
  if not list then
    list = {}
    members_of[kind] = list
  end
  list[#list + 1] = member
end

-- Which of the counts of a record follow a set.
local COUNTED = { waiting = 'waiting', blocking = 'blocking', lanes = 'keyed', ages = 'aged' }

local function add_to_sets(w, pairs_of)
  for kind, list in pairs(pairs_of) do
    local added = call_many('ZADD', row_key(w, kind), list)
    local count = COUNTED[kind]
    if count then
      w[count] = w[count] + added
    end
  end
end

local function remove_from_sets(w, members_of)
  for kind, list in pairs(members_of) do
    local count = COUNTED[kind]
    if not count or w[count] > 0 then
      local removed = call_many('ZREM', row_key(w, kind), list)
      if count then
        w[count] = w[count] - removed
      end
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
    add_pair(pairs_of, 'order', seq, field(seq))
    if item.attempt > 0 then
      add_pair(pairs_of, 'retrying', due, field(seq))
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
    add_member(members_of, 'order', field(seq))
    if item.attempt > 0 then
      add_member(members_of, 'retrying', field(seq))
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

-- Delete items; those that are free, by `is_free(seq)`, leave their sets.  Returns how many there were.
local function delete_items(w, items, is_free)
  local names, members_of = {}, {}
  for index, item in ipairs(items) do
    names[index] = field(item.seq)
    if is_free(item.seq) then
      withdraw(members_of, item)
    end
    if item.segment > 0 or item.due == NEVER then
      add_member(members_of, 'segments', segment_member(item.segment, item.seq))
    end
    if w.aged > 0 then
      add_member(members_of, 'ages', field(item.seq))
    end
  end
  remove_from_sets(w, members_of)
  return call_many('HDEL', row_key(w, 'items'), names)
end

-- Sequences of ready items above `after`, in order, at most `limit` of each rank.
local function ready_after(w, after, limit)
  local key = row_key(w, 'ready')
  local found = {}
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  while first[1] do
    local rank = first[2]
    local low = call('ZCOUNT', key, '-inf', '(' .. rank)
    local stop = low + call('ZCOUNT', key, rank, rank)
    local high = stop
    while low < high do
      local middle = math.floor((low + high) / 2)
      if tonumber(call('ZRANGE', key, middle, middle)[1]) > after then
        high = middle
      else
        low = middle + 1
      end
    end
    for _, member in ipairs(call('ZRANGE', key, low, math.min(low + limit, stop) - 1)) do
      found[#found + 1] = tonumber(member)
    end
    first = call('ZRANGEBYSCORE', key, '(' .. rank, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  end
  return found
end

-- Sequences of the free items that belong to no batch, above `after`: at least the first `limit` of them, unordered.
local function loose_after(w, after, limit)
  local found = ready_after(w, after, limit)
  if w.waiting > 0 then
    local range = { '(' .. field(after), '+inf', 'LIMIT', 0, field(limit) }
    for _, seq in ipairs(call('ZRANGEBYSCORE', row_key(w, 'order'), unpack(range))) do
      found[#found + 1] = tonumber(seq)
    end
  end
  return found
end

-- Sequences of the items of some segments that have a place among the batches.
local function batched_after(w, first, after, last, limit)
  local found = {}
  local range = { '(' .. segment_member(first, after), '[' .. padded(last) .. '\255', 'LIMIT', 0, field(limit) }
  for _, member in ipairs(call('ZRANGEBYLEX', row_key(w, 'segments'), unpack(range))) do
    found[#found + 1] = tonumber(sub(member, 17))
  end
  return found
end

-- The lowest sequence among the free items.
local function oldest_free(w)
  local oldest
  local candidates = loose_after(w, 0, 1)
  candidates[#candidates + 1] = batched_after(w, 0, 0, NEVER - 1, 1)[1]
  for _, seq in ipairs(candidates) do
    if not oldest or seq < oldest then
      oldest = seq
    end
  end
  return oldest
end

-- The highest rank among the live items of a lane: that of the last one, free or in hand.
local function lane_rank(w, lane)
  local highest
  if w.keyed > 0 then
    local range = { '[' .. lane .. '\0\255', '[' .. lane .. '\0', 'LIMIT', 0, 1 }
    local last = call('ZREVRANGEBYLEX', row_key(w, 'lanes'), unpack(range))[1]
    local item = last and find_item(w, tonumber(sub(last, -16)))
    highest = item and item.rank
  end
  for _, item in ipairs(find_items(w, w.taken)) do
    if item.lane == lane and (not highest or item.rank > highest) then
      highest = item.rank
    end
  end
  return highest
end

-- The earliest `due` later than `after` (and before NEVER) among the items, when none is in hand.
local function item_due(w, after)
  if after < 0 and call('EXISTS', row_key(w, 'ready')) == 1 then
    return 0
  elseif w.waiting == 0 then
    return nil
  end
  local range = { '(' .. field(math.max(after, 0)), '+inf', 'WITHSCORES', 'LIMIT', 0, 1 }
  local first = call('ZRANGEBYSCORE', row_key(w, 'waiting'), unpack(range))
  return first[2] and tonumber(first[2])
end
