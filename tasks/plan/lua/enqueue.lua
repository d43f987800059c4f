-- Included where slices come into an account: give a slice its place in the outbox of its lane.

-- Start-time fair queueing: a job's next slice starts where its last one ended, but never in the past.
local function enqueue(s, queued, due_ms, now)
  local turn, last = key('turn'), 'job:' .. s.lane .. ':' .. s.job
  local lane_now = tonumber(redis.call('HGET', turn, 'at:' .. s.lane) or '0')
  s.start = math.max(lane_now, tonumber(redis.call('HGET', turn, last) or '0'))
  redis.call('HSET', turn, last, string.format('%.3f', s.start + queued))
  redis.call('SETRANGE', s.key, 32, struct.pack('<d', s.start))
  put_back(s, due_ms, now)
end
