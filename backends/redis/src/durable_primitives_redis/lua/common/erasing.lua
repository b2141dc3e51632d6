-- Ends of instances.

local KINDS = {
  'items', 'ready', 'waiting', 'order', 'retrying', 'lanes', 'blocking', 'segments', 'ages', 'receipts', 'loose',
  'expiring', 'letters', 'dead',
}

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

-- Leave a tombstone (`kernel.apply._erase`).
local function erase(w)
  delete_rows(w)
  w.status, w.data, w.held, w.linger_ms, w.dues = TERMINATED, EMPTY_BYTES, false, TOMBSTONE_MS, {}
  w.owner, w.taken, w.cancels, w.count, w.segment_count, w.deliveries, w.finished = nil, {}, {}, 0, 0, 0, 0
  w.purge_at = nil
  w.version, w.generation = w.version + 1, w.generation + 1
end

return { delete_rows = delete_rows, erase = erase }
