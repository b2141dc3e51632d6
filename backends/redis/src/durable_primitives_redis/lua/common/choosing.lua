-- Which items run next when some are held back (`kernel.apply.Shelf.take`).

local PAGE = 32

-- Whether an earlier free item of the lane stands in a set that is ordered by lane.
local function stands_behind(w, kind, item)
  local range = { '[' .. item.lane .. '\0', '(' .. lane_member(item.lane, item.seq), 'LIMIT', 0, 1 }
  return call('ZRANGEBYLEX', row_key(w, kind), unpack(range))[1] ~= nil
end

-- Walk through a set of items, page by page in its order; `choose(item)` says which are taken.
local function choose_from(w, page_from, choose, chosen, rows, limit)
  local start = 0
  while #chosen < limit and (has_room() or #chosen == 0) do
    local members = page_from(start)
    local seqs = {}
    for index, member in ipairs(members) do
      seqs[index] = tonumber(sub(member, -14))
    end
    for _, row in ipairs(get_many(row_key(w, 'items'), padded_all(seqs))) do
      local item = parse_item(row)
      if #chosen < limit and (has_room() or #chosen == 0) and choose(item) then
        note_sent(#row)
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
    return call('ZRANGEBYSCORE', key, '-inf', digits(now), 'LIMIT', start, PAGE)
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

-- Take items that waited, and where `blocked`, ready ones too; adds their rows and sequences.
local function take_held(w, now, limit, blocked, rows, seqs)
  local chosen, members_of = {}, {}
  choose_waiting(w, now, chosen, rows, limit)
  if blocked then
    choose_ready(w, chosen, rows, limit)
  end
  for _, item in ipairs(chosen) do
    withdraw(members_of, item)
    seqs[#seqs + 1] = item.seq
  end
  remove_from_sets(w, members_of)
end

return { take_held = take_held }
