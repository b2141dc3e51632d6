-- Records, read once and written once in a script.  A working record has the fields of `Record`, `data` with its header,
-- and some counts of its own that spare look-ups:
--   waiting, blocking, keyed, aged, loose   rows of the sets of these names (keyed: of `lanes`)
--   newest_at                               the latest time at which an item was accepted

local TERMINATED = 'terminated'
local TOMBSTONE_MS = 86400000

local records = {}
local touched = {}

local function new_record(w, at)
  w.exists = true
  w.status, w.data, w.version, w.generation, w.held, w.dues = '', EMPTY_BYTES, 0, 1, false, {}
  w.linger_ms, w.purge_at, w.token, w.owner, w.lease_until, w.deliveries = nil, nil, 0, nil, 0, 0
  w.taken, w.cancels, w.sequence, w.count = {}, {}, 0, 0
  w.segment, w.segment_count, w.segment_first_at, w.segment_last_at = 0, 0, 0, 0
  w.finished, w.created_at, w.updated_at = 0, at, 0
  w.waiting, w.blocking, w.keyed, w.aged, w.loose, w.newest_at = 0, 0, 0, 0, 0, 0
end

local function parse_record(w, row)
  w.exists = true
  w.status, w.data, w.version, w.generation, w.held, w.dues, w.linger_ms, w.purge_at, w.token, w.owner, w.lease_until,
    w.deliveries, w.taken, w.cancels, w.sequence, w.count, w.segment, w.segment_count, w.segment_first_at,
    w.segment_last_at, w.finished, w.created_at, w.updated_at, w.waiting, w.blocking, w.keyed, w.aged, w.loose,
    w.newest_at = cmsgpack.unpack(row)
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

-- The working record of an instance, `exists` or not.
local function find_record(part, instance)
  local w = records[instance]
  if not w then
    w = { part = part, instance = instance, exists = false }
    local row = call('GET', part .. 'record:' .. instance)
    if row then
      parse_record(w, row)
      w.stored_alarm, w.stored_purge, w.listed = alarm_of(w), w.purge_at, true
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

-- Whether, and when, the record itself may go (`kernel.apply.refresh_purge`).
local function refresh_purge(w, now)
  if not w.linger_ms or w.owner or w.held or next(w.dues) or w.count > 0 then
    w.purge_at = nil
  elseif not w.purge_at then
    w.purge_at = now + w.linger_ms
  end
end

-- The earliest alarm of each partition as it was before this script.
local earliest_before = {}

local function note_earliest(part)
  if earliest_before[part] == nil then
    local first = call('ZRANGE', part .. 'alarm', 0, 0, 'WITHSCORES')
    earliest_before[part] = first[2] and tonumber(first[2]) or NEVER
  end
end

local function store_alarm(w)
  local alarm = alarm_of(w)
  if alarm ~= w.stored_alarm then
    note_earliest(w.part)
    if alarm then
      call('ZADD', w.part .. 'alarm', alarm, w.instance)
    else
      call('ZREM', w.part .. 'alarm', w.instance)
    end
    w.stored_alarm, w.rearmed = alarm, true
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

-- Delete all rows of an instance but its record.
local function delete_rows(w)
  local names = {}
  for index, kind in ipairs(KINDS) do
    names[index] = row_key(w, kind)
  end
  call('UNLINK', unpack(names))
  call('ZREM', w.part .. 'expiry', w.instance)
  w.waiting, w.blocking, w.keyed, w.aged, w.loose, w.newest_at = 0, 0, 0, 0, 0, 0
end
