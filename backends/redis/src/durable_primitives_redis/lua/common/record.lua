-- Records, read once and written once in a script.  A working record has the fields of `Record`, `data` with its header,
-- and some counts of its own that spare look-ups:
--   waiting, blocking, keyed, aged, loose   rows of the sets of these names (keyed: of `lanes`)
--   newest_at                               the latest time at which an item was accepted

local TERMINATED = 'terminated'
local TOMBSTONE_MS = 86400000

local records = {}
local touched = {}

-- One constructor for all fields: a table that grows field by field costs several times as much.
local function working(part, instance, exists, status, data, version, generation, held, dues, linger_ms, purge_at, token,
    owner, lease_until, deliveries, taken, cancels, sequence, count, segment, segment_count, segment_first_at,
    segment_last_at, finished, created_at, updated_at, waiting, blocking, keyed, aged, loose, newest_at)
  return {
    part = part, instance = instance, exists = exists, status = status, data = data, version = version,
    generation = generation, held = held, dues = dues, linger_ms = linger_ms, purge_at = purge_at, token = token,
    owner = owner, lease_until = lease_until, deliveries = deliveries, taken = taken, cancels = cancels,
    sequence = sequence, count = count, segment = segment, segment_count = segment_count,
    segment_first_at = segment_first_at, segment_last_at = segment_last_at, finished = finished,
    created_at = created_at, updated_at = updated_at, waiting = waiting, blocking = blocking, keyed = keyed,
    aged = aged, loose = loose, newest_at = newest_at, stored_alarm = nil, stored_purge = purge_at, listed = exists,
    touched = false, rearmed = false,
  }
end

local function record_row(w)
  return pack(
    w.status, w.data, w.version, w.generation, w.held, w.dues, w.linger_ms, w.purge_at, w.token, w.owner,
    w.lease_until, w.deliveries, w.taken, w.cancels, w.sequence, w.count, w.segment, w.segment_count,
    w.segment_first_at, w.segment_last_at, w.finished, w.created_at, w.updated_at, w.waiting, w.blocking, w.keyed,
    w.aged, w.loose, w.newest_at
  )
end

-- As the kernel's `Record`.
local function record_reply(w)
  return '\220\0\24' .. pack(w.instance, w.status) .. w.data .. pack(w.version, w.generation, w.held) .. map_of(w.dues)
    .. pack(w.linger_ms, w.purge_at, w.token, w.owner, w.lease_until, w.deliveries, w.taken, w.cancels, w.sequence,
      w.count, w.segment, w.segment_count, w.segment_first_at, w.segment_last_at, w.finished, w.created_at,
      w.updated_at)
end

-- When a worker must look at this instance (`Record.alarm`).
local function alarm_of(w)
  if not w.exists then
    return nil
  elseif w.owner then
    return w.lease_until
  elseif w.held then
    return w.dues.recheck
  end
  local earliest
  for _, due in pairs(w.dues) do
    if not earliest or due < earliest then
      earliest = due
    end
  end
  return earliest
end

-- The working record of a row; nil if it is not what `record_row` writes.
local function parse_record(part, instance, row)
  local ok, w = pcall(function()
    return working(part, instance, true, cmsgpack.unpack(row))
  end)
  if ok and type(w.dues) == 'table' and type(w.cancels) == 'table' and w.newest_at then
    return w
  end
end

-- The working record of an instance; one that does not exist has the fields of a new one.  A damaged one ends the
-- script with an error that names it (`failures.py`).
local function find_record(part, instance)
  local w = records[instance]
  if not w then
    local row = call('GET', part .. 'record:' .. instance)
    if row then
      w = parse_record(part, instance, row) or error('DAMAGED "' .. instance .. '"', 0)
      w.stored_alarm = alarm_of(w)
    else
      w = working(part, instance, false, '', EMPTY_BYTES, 0, 1, false, {}, nil, nil, 0, nil, 0, 0, {}, {}, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    end
    records[instance] = w
  end
  return w
end

local function touch(w)
  if not w.touched then
    w.touched = true
    touched[#touched + 1] = w
  end
end

local function is_live(w)
  return w.exists and w.status ~= TERMINATED
end

-- The earliest alarm of each partition: as it was before this script, NEVER if there was none; and as it is now, false
-- where only a look can tell.
local earliest_before, earliest_now = {}, {}

local function note_earliest(part)
  if not earliest_before[part] then
    local first = call('ZRANGE', part .. 'alarm', 0, 0, 'WITHSCORES')
    earliest_before[part] = first[2] and tonumber(first[2]) or NEVER
    earliest_now[part] = earliest_before[part]
  end
end

-- Look at a damaged instance later, and not in every claim.
local function put_off(part, instance, horizon)
  note_earliest(part)
  earliest_now[part] = false
  call('ZADD', part .. 'alarm', digits(horizon), instance)
end

local function store_alarm(w)
  local alarm, part = alarm_of(w), w.part
  if alarm == w.stored_alarm then
    return
  end
  note_earliest(part)
  local earliest = earliest_now[part]
  if earliest and (alarm or NEVER) <= earliest then
    earliest_now[part] = alarm
  elseif earliest == w.stored_alarm then
    earliest_now[part] = false
  end
  if alarm then
    call('ZADD', part .. 'alarm', alarm, w.instance)
  else
    call('ZREM', part .. 'alarm', w.instance)
  end
  w.stored_alarm, w.rearmed = alarm, true
end

-- Note the earliest alarms of the partitions in which one was changed.
local function store_heads()
  for part, before in pairs(earliest_before) do
    local first = earliest_now[part] or tonumber(call('ZRANGE', part .. 'alarm', 0, 0, 'WITHSCORES')[2])
    if not first then
      call('ZREM', heads_key(), part)
    elseif first ~= before then
      call('ZADD', heads_key(), first, part)
    end
  end
end

-- Write what was touched; returns the nearest of the alarms that came before all others of their partition.
local function store_records()
  local nearest
  for _, w in ipairs(touched) do
    store_alarm(w)
    call('SET', w.part .. 'record:' .. w.instance, record_row(w))
    if not w.listed then
      call('ZADD', w.part .. 'names', 0, w.instance)
      w.listed = true
    end
    if w.purge_at ~= w.stored_purge then
      if w.purge_at then
        call('ZADD', w.part .. 'purge', w.purge_at, w.instance)
      else
        call('ZREM', w.part .. 'purge', w.instance)
      end
      w.stored_purge = w.purge_at
    end
    local alarm = w.stored_alarm
    if w.rearmed and alarm and alarm < earliest_before[w.part] and (not nearest or alarm < nearest) then
      nearest = alarm
    end
  end
  return nearest
end
