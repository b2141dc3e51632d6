-- The parts of one transition, in their order (`kernel.apply._Change`).  `out` gathers what the outcome says.

-- A list without the values that are in a set.
local function without(list, set)
  local left, n = {}, 0
  for index = 1, #list do
    local value = list[index]
    if not set[value] then
      n = n + 1
      left[n] = value
    end
  end
  return left
end

local function put(w, p)
  w.status, w.data, w.held, w.linger_ms, w.purge_at = p.status, p.data, p.third, p.linger_ms, nil
  w.version = w.version + 1
end

-- Items leave for good: those with an id, in one group for all that end in the same way, settle their receipts.
local function settle(w, items)
  local in_hand, ended = set_of(w.taken), {}
  local names, members_of, groups = {}, {}, {}
  local group
  for index, item in ipairs(items) do
    local seq = item.seq
    names[index] = padded(seq)
    ended[seq] = true
    if not in_hand[seq] then
      withdraw(members_of, item)
    end
    if item.segment > 0 or item.due == NEVER then
      add_member(members_of, 'segments', segment_member(item.segment, seq))
    end
    if w.aged > 0 then
      add_member(members_of, 'ages', names[index])
    end
    if item.settlement == 'done' then
      w.finished = w.finished + 1
    end
    if item.id then
      if not group or group.settlement ~= item.settlement or group.expires_at ~= item.expires_at then
        group = { settlement = item.settlement, expires_at = item.expires_at, ids = {} }
        groups[#groups + 1] = group
      end
      group.ids[#group.ids + 1] = item.id
    end
  end
  remove_from_sets(w, members_of)
  call_many('HDEL', row_key(w, 'items'), names)
  w.count = w.count - #names
  for _, one in ipairs(groups) do
    settle_receipts(w, one.ids, one.settlement, one.expires_at)
  end
  if #w.cancels > 0 then
    w.cancels = without(w.cancels, ended)
  end
  return ended
end

-- What the owner says about the items in its hands.
local function settle_taken(w, t)
  local left = settle(w, t.remove)
  if t.bury ~= NOTHING then
    local dead = {}
    for _, burial in ipairs(t.bury) do
      local item = burial.item
      if item then
        item.settlement, item.expires_at, left[item.seq] = 'dead', burial.expires_at, true
        dead[#dead + 1] = item
      end
    end
    settle(w, dead)
  end
  if t.reschedule ~= NOTHING or t.give_back ~= NOTHING or t.mark ~= NOTHING or t.bury ~= NOTHING then
    moving().move(w, t, left)
  end
  w.taken = without(w.taken, left)
end

local function change_dues(w, changes)
  for _, change in ipairs(changes) do
    local name, how, at = change[1], change[2], change[3]
    local due = w.dues[name]
    if how == 'clear' then
      w.dues[name] = nil
    elseif how == 'set' or not due then
      w.dues[name] = at
    elseif how == 'earlier' then
      w.dues[name] = math.min(due, at)
    end
  end
end

-- The earliest `due` later than `after` (and before NEVER) among the items, when none is in hand.
local function item_due(w, after)
  if after < 0 and call('EXISTS', row_key(w, 'ready')) == 1 then
    return 0
  elseif w.waiting == 0 then
    return nil
  end
  local range = { '(' .. digits(math.max(after, 0)), '+inf', 'WITHSCORES', 'LIMIT', 0, 1 }
  local first = call('ZRANGEBYSCORE', row_key(w, 'waiting'), unpack(range))
  return first[2] and tonumber(first[2])
end

local function release(w, t)
  -- After an idle take nothing is ready: the next chance comes with the first item that still waits.
  local after = t.release == 'idle' and t.take > 0 and not w.held and t.at or -1
  put_back(w, w.taken)
  w.owner, w.taken, w.deliveries = nil, {}, 0
  local due = w.count > 0 and item_due(w, after)
  w.dues.items = due and math.max(due, t.at) or nil
end

-- Whether, and when, the record itself may go (`kernel.apply.refresh_purge`).
local function refresh_purge(w, now)
  if not w.linger_ms or w.owner or w.held or next(w.dues) or w.count > 0 then
    w.purge_at = nil
  elseif not w.purge_at then
    w.purge_at = now + w.linger_ms
  end
end

local function flag(value)
  return value and '\195' or '\194'
end

-- Returns the outcome, packed.
local function change(w, t, created)
  local out = { accepted = {}, cleared = 0, cancelled = NOTHING }
  local items = NOTHING
  if t.put then
    put(w, t.put)
  end
  if #t.remember > 0 then
    rare().remember(w, t.remember)
  end
  if t.remove ~= NOTHING or t.reschedule ~= NOTHING or #t.give_back > 0 or t.mark ~= NOTHING or t.bury ~= NOTHING then
    settle_taken(w, t)
  end
  if #t.redrive > 0 or #t.discard > 0 or t.retire or t.clear or #t.cancel > 0 then
    rare().change(w, t, out)
  end
  if t.append == NOTHING or append(w, t, out) then
    if t.seal and w.segment_count > 0 then
      seal(w, t.at)
    end
    change_dues(w, t.dues)
  end
  if t.progress then
    w.deliveries = 1
  end
  if t.take > 0 and not w.held then
    items = take(w, t.at, t.take)
  end
  local released = t.release == 'yes' or (t.release == 'idle' and #w.taken == 0)
  if released then
    release(w, t)
  end
  w.updated_at = t.at
  refresh_purge(w, t.at)
  local quiet = out.cleared == 0 and out.cancelled == NOTHING and #w.cancels == 0
  return '\157\167applied' .. flag(created) .. pack(w.version, w.generation, w.count) .. array_of(out.accepted)
    .. array_of(items) .. (quiet and '\0\144\144' or pack(out.cleared, out.cancelled, w.cancels)) .. flag(w.held)
    .. flag(released) .. ((#t.dues > 0 or t.batching or t.seal) and map_of(w.dues) or '\192')
end
