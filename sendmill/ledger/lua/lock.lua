#!lua flags=allow-oom
-- Keep or give back a lock that is still ours. (It is taken with SET NX PX.)
-- KEYS[1] the lock
-- ARGV[1] our token, ARGV[2] ms for which to keep it from now (0: give it back)
-- Returns 1 where it was ours.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('DEL', KEYS[1])
end
return 1
