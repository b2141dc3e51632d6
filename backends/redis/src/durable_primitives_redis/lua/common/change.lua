-- The parts of one transition, in their order (`kernel.apply._Change`).  `out` gathers what the outcome says.

local function position_of(list, value)
  for index = 1, #list do
    if list[index] == value then
      return index
    end
  end
end

local function without(list, is_out)
  local left = {}
  for _, value in ipairs(list) do
    if not is_out(value) then
      left[#left + 1] = value
    end
  end
  return left
end

local function set_of(list)
  local set = {}
  for _, value in ipairs(list) do
    set[value] = true
  end
  return set
end

local function arm(w, due, at)
  if due < NEVER then
    due = math.max(due, at)
    if (w.dues.items or NEVER) > due then
      w.dues.items = due
    end
  end
end

local function forget_window(at, w)
  return at + ((w.linger_ms or 0) ~= 0 and w.linger_ms or TOMBSTONE_MS)
end

local function put(w, p)
  w.status, w.data, w.held, w.linger_ms, w.purge_at = p.status, p.data, p.held, p.linger_ms, nil
  w.version = w.version + 1
end

-- Items leave for good, each with its settlement: one write for all that end in the same way.
local function settle(w, endings)
  if #endings == 0 then
    return
  end
  local in_hand = set_of(w.taken)
  local items, groups, order, asked = {}, {}, {}, set_of(w.cancels)
  local ended = {}
  for index, ending in ipairs(endings) do
    local item = ending.item
    items[index] = item
    ended[item.seq] = true
    if ending.settlement == 'done' then
      w.finished = w.finished + 1
    end
    if item.id then
      local name = ending.settlement .. field(ending.expires_at)
      local group = groups[name]
      if not group then
        group = { ending = ending, ids = {} }
        groups[name] = group
        order[#order + 1] = group
      end
      group.ids[#group.ids + 1] = item.id
    end
  end
  delete_items(w, items, function(seq) return not in_hand[seq] end)
  w.count = w.count - #items
  for _, group in ipairs(order) do
    settle_receipts(w, group.ids, group.ending.settlement, group.ending.expires_at)
  end
  if next(asked) then
    w.cancels = without(w.cancels, function(seq) return ended[seq] end)
  end
end

-- Store items as they are now; their receipts follow the due time.  `moves` are (from, to) pairs.
local function move_items(w, moves, in_hand)
  local rows, ids, dues = {}, {}, {}
  local members_of, pairs_of = {}, {}
  for _, move in ipairs(moves) do
    local from, to = move.from, move.to
    rows[#rows + 1], rows[#rows + 2] = field(to.seq), item_row(to, from.payload)
    if not in_hand[from.seq] then
      withdraw(members_of, from)
    end
    if not move.stays then
      offer(pairs_of, to)
    end
    if from.segment == 0 and (from.due == NEVER) ~= (to.due == NEVER) then
      if to.due == NEVER then
        add_pair(pairs_of, 'segments', 0, segment_member(0, to.seq))
      else
        add_member(members_of, 'segments', segment_member(0, to.seq))
      end
    end
    if from.id and from.due ~= to.due then
      ids[#ids + 1], dues[#dues + 1] = from.id, to.due
    end
  end
  remove_from_sets(w, members_of)
  add_to_sets(w, pairs_of)
  call_many('HSET', row_key(w, 'items'), rows)
  move_receipts(w, ids, dues)
end

-- What the owner says about the items in its hands.
local function settle_taken(w, t)
  local left = set_of(t.give_back)
  local endings = {}
  for index, removal in ipairs(t.remove) do
    endings[index] = removal
    left[removal.item.seq] = true
  end
  for _, burial in ipairs(t.bury) do
    if burial.item then
      endings[#endings + 1] = { item = burial.item, settlement = 'dead', expires_at = burial.expires_at }
      left[burial.item.seq] = true
    end
  end
  settle(w, endings)
  for _, burial in ipairs(t.bury) do
    local item = burial.item or { rank = 0, at = t.at }
    local row = letter_row(burial.id, burial.payload, item.lane, item.rank, item.at, t.at, burial.attempts,
      burial.error, burial.count, burial.expires_at)
    keep_letter(w, burial.id, row, burial.expires_at)
  end
  local in_hand, moves = set_of(w.taken), {}
  for _, change in ipairs(t.reschedule) do
    local from = change.item
    local to = {
      seq = from.seq, id = from.id, at = from.at, lane = from.lane, due = change.due, rank = from.rank,
      segment = from.segment, attempt = change.attempt, delivery = change.delivery, error = change.error,
      blocks = change.blocks,
    }
    moves[#moves + 1] = { from = from, to = to }
    arm(w, change.due, t.at)
    left[from.seq] = true
  end
  for _, item in ipairs(t.mark) do
    moves[#moves + 1] = { from = item, to = item, stays = in_hand[item.seq] }
  end
  if #moves > 0 then
    move_items(w, moves, in_hand)
  end
  local returned = without(t.give_back, function(seq) return not in_hand[seq] end)
  if #returned > 0 then
    put_back(w, returned)
  end
  if next(left) then
    w.taken = without(w.taken, function(seq) return left[seq] end)
  end
end

-- Appending, and what it needs.

-- Rows of new items that are yet to be written.
local function new_arrivals()
  return { items = {}, receipts = {}, pairs_of = {} }
end

local function write_arrivals(w, arrivals)
  call_many('HSET', row_key(w, 'items'), arrivals.items)
  call_many('HSET', row_key(w, 'receipts'), arrivals.receipts)
  add_to_sets(w, arrivals.pairs_of)
  arrivals.items, arrivals.receipts, arrivals.pairs_of = {}, {}, {}
end

-- A new item of the open segment, with its receipt.  `ranks` are the highest ranks by lane, as far as they are known.
local function add(w, new, at, arrivals, ranks)
  local lane, rank = new.lane, new.rank
  if lane and rank ~= 0 and not ranks[lane] then
    write_arrivals(w, arrivals)
    ranks[lane] = lane_rank(w, lane)
  end
  if lane then
    -- A priority never breaks the order of a lane: an item takes at least the rank of those before it.
    if rank ~= 0 and ranks[lane] then
      rank = math.max(rank, ranks[lane])
    end
    if rank ~= 0 or ranks[lane] then
      ranks[lane] = math.max(rank, ranks[lane] or rank)
    end
  end
  local seq, due, segment = w.sequence + 1, new.due, w.segment
  w.sequence, w.count = seq, w.count + 1
  local items, name = arrivals.items, field(seq)
  local n = #items
  items[n + 1] = name
  items[n + 2] = '\156' .. pack(seq, new.id) .. new.payload
    .. pack(at, lane, due, rank, segment, 0, 0, nil, new.blocks)
  if new.id then
    local receipts = arrivals.receipts
    n = #receipts
    receipts[n + 1], receipts[n + 2] = new.id, live_receipt(seq, w.count, due, rank, segment)
  end
  local pairs_of = arrivals.pairs_of
  if due == 0 and not lane then
    add_pair(pairs_of, 'ready', rank, padded(seq))
  else
    offer(pairs_of, { seq = seq, lane = lane, due = due, rank = rank, attempt = 0, blocks = new.blocks })
  end
  if segment > 0 or due == NEVER then
    add_pair(pairs_of, 'segments', 0, segment_member(segment, seq))
  end
  if at < w.newest_at then
    add_pair(pairs_of, 'ages', at, name)
  else
    w.newest_at = at
  end
end

local function seal(w, at)
  w.segment, w.segment_count, w.dues.window = w.segment + 1, 0, nil
  -- A due that is set is left alone: it may be the retry of an older segment, which goes first.
  w.dues.flush = w.dues.flush or at
end

local function drop_oldest(w, t, out)
  local seq = oldest_free(w)
  if seq then
    local item = find_item(w, seq)
    settle(w, { { item = item, settlement = 'cleared', expires_at = forget_window(t.at, w) } })
    out.cleared = out.cleared + 1
  end
end

local function accepted(seq, position, segment, segment_count, duplicate)
  return '\149' .. pack(seq, position, segment, segment_count, duplicate)
end

-- Returns whether every item was a duplicate.
local function append(w, t, out)
  local at, batching = t.at, t.batching or {}
  local room = t.on_full == 'drop_oldest' and t.guard and t.guard.room
  local known = known_receipts(w, ids_to_check(t.append), at)
  local arrivals, ranks, answers = new_arrivals(), {}, {}
  local earliest, all_known = NEVER, true
  for index, new in ipairs(t.append) do
    local receipt = new.id and not new.fresh and known[new.id]
    if receipt then
      local seq, position, _, _, segment = parse_receipt(receipt)
      answers[index] = accepted(seq, position, segment, w.segment_count, true)
    else
      if room and w.count >= room then
        write_arrivals(w, arrivals)
        ranks = {}
        drop_oldest(w, t, out)
      end
      add(w, new, at, arrivals, ranks)
      all_known = false
      earliest = math.min(earliest, new.due)
      w.segment_count, w.segment_last_at = w.segment_count + 1, at
      if w.segment_count == 1 then
        w.segment_first_at = at
        if batching.window_ms then
          w.dues.window = at + batching.window_ms
        end
      end
      answers[index] = accepted(w.sequence, w.count, w.segment, w.segment_count, false)
      if new.id then
        known[new.id] = live_receipt(w.sequence, w.count, 0, 0, w.segment)
      end
      if batching.max_items and w.segment_count >= batching.max_items then
        seal(w, at)
      end
    end
  end
  write_arrivals(w, arrivals)
  arm(w, earliest, at)
  out.accepted = answers
  return all_known
end

-- Rare words.

local function redrive(w, t, id, out)
  local letter = find_letter(w, id)
  if not letter or letter.expires_at <= t.at then
    return
  end
  drop_letter(w, id)
  local new = { id = id, payload = letter.payload, lane = letter.lane, due = t.at, rank = letter.rank, blocks = true }
  local arrivals = new_arrivals()
  add(w, new, letter.at, arrivals, {})
  write_arrivals(w, arrivals)
  arm(w, t.at, t.at)
  out.cleared = out.cleared + 1
end

-- Delete the items of some segments but those in `keep`, settle their receipts; how many items went.
local function empty_segments(w, first, last, keep, settlement, expires_at)
  local in_hand = set_of(w.taken)
  local items = {}
  local function gather(seqs, belongs)
    for _, item in ipairs(find_items(w, seqs)) do
      if not keep[item.seq] and belongs(item) then
        items[#items + 1] = item
      end
    end
  end
  gather(batched_after(w, first, 0, last, -1), function() return true end)
  if first <= 0 and w.count > #items then
    local seqs = loose_after(w, 0, w.count)
    for _, seq in ipairs(w.taken) do
      seqs[#seqs + 1] = seq
    end
    gather(seqs, function(item) return item.segment == 0 and item.due ~= NEVER end)
  end
  delete_items(w, items, function(seq) return not in_hand[seq] end)
  local ids = {}
  for _, item in ipairs(items) do
    ids[#ids + 1] = item.id
  end
  settle_receipts(w, ids, settlement, expires_at, function(row) return byte(row) == LIVE end)
  settle_loose(w, first, last, settlement, expires_at)
  return #items
end

local function cancel(w, t, id)
  local row = call('HGET', row_key(w, 'receipts'), id)
  if not is_known(row, t.at) then
    return 'not_found'
  end
  local seq, _, _, _, _, settlement = parse_receipt(row)
  if settlement then
    return settlement == 'cancelled' and 'cancelled' or 'done'
  elseif position_of(w.taken, seq) then
    if not position_of(w.cancels, seq) then
      w.cancels[#w.cancels + 1] = seq
    end
    return 'running'
  end
  local item = find_item(w, seq)
  if not item then
    return 'not_found'
  end
  settle(w, { { item = item, settlement = 'cancelled', expires_at = forget_window(t.at, w) } })
  return 'cancelled'
end

local function rarely(w, t, out)
  for _, id in ipairs(t.redrive) do
    redrive(w, t, id, out)
  end
  for _, id in ipairs(t.discard) do
    out.cleared = out.cleared + drop_letter(w, id)
  end
  if t.retire then
    w.count = w.count - empty_segments(w, 0, t.retire.segment, {}, t.retire.settlement, t.retire.expires_at)
  end
  if t.clear then
    local gone = empty_segments(w, t.clear.segment, NEVER, set_of(w.taken), 'cleared', t.clear.expires_at)
    w.count, out.cleared = w.count - gone, out.cleared + gone
    if t.clear.segment <= w.segment then
      w.segment_count, w.dues.window = 0, nil
    end
  end
  if t.retire or t.clear then
    local in_hand = set_of(w.taken)
    w.cancels = without(w.cancels, function(seq) return not in_hand[seq] end)
  end
  for index, id in ipairs(t.cancel) do
    out.cancelled[index] = cancel(w, t, id)
  end
end

-- Dues and leases.

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

local function release(w, t)
  -- After an idle take nothing is ready: the next chance comes with the first item that still waits.
  local after = t.release == 'idle' and t.take > 0 and not w.held and t.at or -1
  if #w.taken > 0 then
    put_back(w, w.taken)
  end
  w.owner, w.taken, w.deliveries = nil, {}, 0
  local due = w.count > 0 and item_due(w, after)
  w.dues.items = due and math.max(due, t.at) or nil
end

-- Returns the outcome, packed.
local function change(w, t, created)
  local out = { accepted = {}, items = {}, cleared = 0, cancelled = {} }
  if t.put then
    put(w, t.put)
  end
  if #t.remember > 0 then
    remember(w, t.remember)
  end
  if #t.remove > 0 or #t.reschedule > 0 or #t.give_back > 0 or #t.mark > 0 or #t.bury > 0 then
    settle_taken(w, t)
  end
  if #t.redrive > 0 or #t.discard > 0 or t.retire or t.clear or #t.cancel > 0 then
    rarely(w, t, out)
  end
  if #t.append == 0 or not append(w, t, out) then
    if t.seal and w.segment_count > 0 then
      seal(w, t.at)
    end
    change_dues(w, t.dues)
  end
  if t.progress then
    w.deliveries = 1
  end
  if t.take > 0 and not w.held then
    out.items = take(w, t.at, t.take)
  end
  local released = t.release == 'yes' or (t.release == 'idle' and #w.taken == 0)
  if released then
    release(w, t)
  end
  w.updated_at = t.at
  refresh_purge(w, t.at)
  local shows_dues = #t.dues > 0 or t.batching or t.seal
  return '\157' .. pack('applied', created, w.version, w.generation, w.count) .. array_of(out.accepted)
    .. array_of(out.items) .. pack(out.cleared, out.cancelled, w.cancels, w.held, released)
    .. (shows_dues and map_of(w.dues) or '\192')
end
