-- Count what a sweep found that should not have been there, so that one that keeps finding is seen. Included.
-- sweeps hash: <sweep> how much it found in all, <sweep>:at ms when it last found anything

local function count_found(sweep, many, now)
  if many == 0 then return end
  redis.call('HINCRBY', key('sweeps'), sweep, many)
  redis.call('HSET', key('sweeps'), sweep .. ':at', math.floor(now))
end
