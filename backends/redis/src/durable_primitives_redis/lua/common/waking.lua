-- Wake-ups: a message to all workers when an alarm came before all others of its partition.

-- Workers look for themselves every ten seconds (`RECHECK_SECONDS`), so an alarm that is further away than this needs no
-- message.  The end of a lease that was just given seldom does: else every claim would wake every process.
local SOON_MS = 15000

-- `client` need not hear of it; `micros` is the server's time.
local function tell_alarm(channel, client, alarm, micros)
  if alarm and alarm < micros / 1000 + SOON_MS then
    call('PUBLISH', channel, client .. ' ' .. digits(alarm))
  end
end
