-- Which items run next (`kernel.apply.Shelf.take`).

local PAGE = 100

-- Whether an earlier free item of the lane stands in a set that is ordered by lane.
local function stands_behind(w, kind, item)
  local range = { '[' .. item.lane .. '\0', '(' .. lane_member(item.lane, item.seq), 'LIMIT', 0, 1 }
  return call('ZRANGEBYLEX', row_key(w, kind), unpack(range))[1] ~= nil
end

-- Walk through a set of items in order; `choose(item)` says which are taken.
local function choose_from(w, members_after, choose, chosen, rows, limit)
  local start = 0
  while #chosen < limit do
    local members = members_after(start)
    local seqs = {}
    for index, member in ipairs(members) do
      seqs[index] = tonumber(sub(member, -16))
    end
    for _, row in ipairs(get_many(row_key(w, 'items'), fields(seqs))) do
      local item = parse_item(row)
      if #chosen < limit and choose(item) then
        chosen[#chosen + 1] = item
        rows[#rows + 1] = row
      end
    end
    if #members < PAGE then
      return
    end
    start = start + PAGE
  end
end

local function choose_waiting(w, now, chosen, rows, limit)
  local key = row_key(w, 'waiting')
  choose_from(w, function(start)
    return call('ZRANGEBYSCORE', key, '-inf', field(now), 'LIMIT', start, PAGE)
  end, function(item)
    return not item.lane or not item.blocks or not stands_behind(w, 'lanes', item)
  end, chosen, rows, limit)
end

local function choose_ready(w, chosen, rows, limit)
  local key = row_key(w, 'ready')
  choose_from(w, function(start)
    return call('ZRANGE', key, start, start + PAGE - 1)
  end, function(item)
    return not item.lane or not stands_behind(w, 'blocking', item)
  end, chosen, rows, limit)
end

-- Nothing holds anything back: the first ones are the next ones.
local function pop_ready(w, seqs, rows, limit)
  local popped = call('ZPOPMIN', row_key(w, 'ready'), field(limit))
  local names = {}
  for index = 1, #popped, 2 do
    local seq = tonumber(popped[index])
    seqs[#seqs + 1] = seq
    names[#names + 1] = field(seq)
  end
  local gone = {}
  for _, row in ipairs(get_many(row_key(w, 'items'), names)) do
    rows[#rows + 1] = row
    if w.keyed > 0 then
      local item = parse_item(row)
      if item.lane then
        gone[#gone + 1] = lane_member(item.lane, item.seq)
      end
    end
  end
  if #gone > 0 then
    w.keyed = w.keyed - call_many('ZREM', row_key(w, 'lanes'), gone)
  end
end

-- Take the next items in hand, at most `limit`; returns their rows.
local function take(w, now, limit)
  local chosen, rows, seqs = {}, {}, {}
  if w.waiting > 0 then
    choose_waiting(w, now, chosen, rows, limit)
  end
  local simple = w.blocking == 0
  if not simple and #chosen < limit then
    choose_ready(w, chosen, rows, limit)
  end
  local members_of = {}
  for index, item in ipairs(chosen) do
    withdraw(members_of, item)
    seqs[index] = item.seq
  end
  remove_from_sets(w, members_of)
  if simple and #seqs < limit then
    pop_ready(w, seqs, rows, limit - #seqs)
  end
  for _, seq in ipairs(seqs) do
    w.taken[#w.taken + 1] = seq
  end
  return rows
end
