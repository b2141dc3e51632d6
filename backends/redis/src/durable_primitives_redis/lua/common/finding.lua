-- Looking for items by where they stand.

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
    local range = { '(' .. digits(after), '+inf', 'LIMIT', 0, digits(limit) }
    for _, seq in ipairs(call('ZRANGEBYSCORE', row_key(w, 'order'), unpack(range))) do
      found[#found + 1] = tonumber(seq)
    end
  end
  return found
end

-- Sequences of the items of some segments that have a place among the batches.
local function batched_after(w, first, after, last, limit)
  local found = {}
  local range = { '(' .. segment_member(first, after), '[' .. padded(last) .. '\255', 'LIMIT', 0, digits(limit) }
  for _, member in ipairs(call('ZRANGEBYLEX', row_key(w, 'segments'), unpack(range))) do
    found[#found + 1] = tonumber(sub(member, -14))
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
    local item = last and find_items(w, { tonumber(sub(last, -14)) })[1]
    highest = item and item.rank
  end
  for _, item in ipairs(find_items(w, w.taken)) do
    if item.lane == lane and (not highest or item.rank > highest) then
      highest = item.rank
    end
  end
  return highest
end

return {
  loose_after = loose_after, batched_after = batched_after, oldest_free = oldest_free, lane_rank = lane_rank,
}
