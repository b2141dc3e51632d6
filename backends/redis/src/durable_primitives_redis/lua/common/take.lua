-- Which items run next (`kernel.apply.Shelf.take`).

-- Nothing holds anything back: the first ones are the next ones.  Returns how many came.
local function pop_ready(w, limit, rows, seqs)
  local popped = call('ZPOPMIN', row_key(w, 'ready'), digits(limit))
  local names = {}
  for index = 1, #popped, 2 do
    local name = popped[index]
    names[#names + 1] = name
    seqs[#seqs + 1] = tonumber(name)
  end
  local gone = {}
  for _, row in ipairs(get_many(row_key(w, 'items'), names)) do
    rows[#rows + 1] = row
    note_sent(#row)
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
  return #names
end

-- Take the next items in hand, at most `limit`; returns their rows.
local function take(w, now, limit)
  local rows, seqs = {}, {}
  local blocked = w.blocking > 0
  if w.waiting > 0 or blocked then
    choosing().take_held(w, now, limit, blocked, rows, seqs)
  end
  local page, came = 0, 0
  while not blocked and came == page and #seqs < limit do
    page = next_page(limit - #seqs, #seqs == 0)
    if page == 0 then
      break
    end
    came = pop_ready(w, page, rows, seqs)
  end
  local taken = w.taken
  for _, seq in ipairs(seqs) do
    taken[#taken + 1] = seq
  end
  return rows
end
