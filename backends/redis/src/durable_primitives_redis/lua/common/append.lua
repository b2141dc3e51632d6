-- Items coming in.

local function arm(w, due, at)
  if due < NEVER then
    due = math.max(due, at)
    if (w.dues.items or NEVER) > due then
      w.dues.items = due
    end
  end
end

-- Rows of new items that are yet to be written; `plain_end` is how the rows of plain ones end.
local function new_arrivals()
  return { items = {}, receipts = {}, pairs_of = {}, plain_end = nil }
end

local function write_arrivals(w, arrivals)
  call_many('HSET', row_key(w, 'items'), arrivals.items)
  call_many('HSET', row_key(w, 'receipts'), arrivals.receipts)
  add_to_sets(w, arrivals.pairs_of)
  arrivals.items, arrivals.receipts, arrivals.pairs_of = {}, {}, {}
end

-- A priority never breaks the order of a lane: an item takes at least the rank of those before it.  `ranks` are the
-- highest ranks by lane, as far as they are known.
local function rank_in_lane(w, lane, rank, arrivals, ranks)
  if rank ~= 0 then
    if not ranks[lane] then
      write_arrivals(w, arrivals)
      ranks[lane] = finding().lane_rank(w, lane)
    end
    rank = math.max(rank, ranks[lane] or rank)
  end
  if rank ~= 0 or ranks[lane] then
    ranks[lane] = math.max(rank, ranks[lane] or rank)
  end
  return rank
end

-- struct.pack writes numbers below 2^32 as cmsgpack would, several at a time and so several times as fast.
local MOST = 4294967295

-- A new item of the open segment, with its receipt, which it returns.
local function add(w, new, at, arrivals, ranks)
  local id, lane, due, rank, segment, receipt = new.id, new.lane, new.due, new.rank, w.segment, nil
  local seq, position = w.sequence + 1, w.count + 1
  if lane then
    rank = rank_in_lane(w, lane, rank, arrivals, ranks)
  end
  w.sequence, w.count = seq, position
  local pairs_of, items, receipts, name = arrivals.pairs_of, arrivals.items, arrivals.receipts, padded(seq)
  local plain = due == 0 and rank == 0 and segment == 0 and not lane and new.blocks and seq <= MOST
  local n, m = #items, #receipts
  items[n + 1] = name
  if plain then
    arrivals.plain_end = arrivals.plain_end or pack(at, nil, 0, 0, 0, 0, 0, nil, true)
    items[n + 2] = struct_pack('>BBI4', 0x9c, 0xce, seq) .. new.front .. arrivals.plain_end
    receipt = id and struct_pack('>BBI4BI4BBB', 0x95, 0xce, seq, 0xce, position, 0, 0, 0)
    add_pair(pairs_of, 'ready', 0, name)
  else
    items[n + 2] = '\156' .. pack(seq) .. new.front .. pack(at, lane, due, rank, segment, 0, 0, nil, new.blocks)
    receipt = id and live_receipt(seq, position, due, rank, segment)
    if due < NEVER or lane then
      offer(pairs_of, { seq = seq, lane = lane, due = due, rank = rank, attempt = 0, blocks = new.blocks })
    end
    if segment > 0 or due == NEVER then
      add_pair(pairs_of, 'segments', 0, segment_member(segment, seq))
    end
  end
  if id then
    receipts[m + 1], receipts[m + 2] = id, receipt
  end
  if at < w.newest_at then
    add_pair(pairs_of, 'ages', at, name)
  else
    w.newest_at = at
  end
  return receipt
end

-- As the kernel's `Accepted`.
local function accepted(seq, position, segment, segment_count)
  if seq <= MOST then
    return struct_pack('>BBI4BI4BI4BI4B', 0x95, 0xce, seq, 0xce, position, 0xce, segment, 0xce, segment_count, 0xc2)
  end
  return '\149' .. pack(seq, position, segment, segment_count, false)
end

local function seal(w, at)
  w.segment, w.segment_count, w.dues.window = w.segment + 1, 0, nil
  -- A due that is set is left alone: it may be the retry of an older segment, which goes first.
  w.dues.flush = w.dues.flush or at
end

-- Returns whether any item was new.
local function append(w, t, out)
  local at = t.at
  local max_items, window_ms
  if t.batching then
    max_items, window_ms = t.batching[1], t.batching[2]
  end
  local room = t.on_full == 'drop_oldest' and t.guard and t.guard[6]
  local known = known_receipts(w, ids_to_check(t.append), at)
  local arrivals, ranks, answers = new_arrivals(), {}, out.accepted
  local earliest, any_new = NEVER, false
  for index, new in ipairs(t.append) do
    local receipt = new.id and not new.fresh and known[new.id]
    if receipt then
      local seq, position, _, _, segment = parse_receipt(receipt)
      answers[index] = '\149' .. pack(seq, position, segment, w.segment_count, true)
    else
      if room and w.count >= room then
        write_arrivals(w, arrivals)
        ranks = {}
        rare().drop_oldest(w, t, out)
      end
      receipt = add(w, new, at, arrivals, ranks)
      any_new = true
      if new.due < earliest then
        earliest = new.due
      end
      local count = w.segment_count + 1
      w.segment_count, w.segment_last_at = count, at
      if count == 1 then
        w.segment_first_at = at
        if window_ms then
          w.dues.window = at + window_ms
        end
      end
      answers[index] = accepted(w.sequence, w.count, w.segment, count)
      if new.id and not new.fresh then
        known[new.id] = receipt
      end
      if max_items and count >= max_items then
        seal(w, at)
      end
    end
  end
  write_arrivals(w, arrivals)
  arm(w, earliest, at)
  return any_new
end
