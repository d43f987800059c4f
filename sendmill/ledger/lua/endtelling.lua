#!lua flags=allow-oom
-- Write what became of a batch. An owner that comes late, when another one has told it, changes nothing.
-- KEYS[1] the webhook's hash; KEYS[1]:told list of JSON, the latest first
-- ARGV[1] the batch's id, ARGV[2] told | failed, ARGV[3] JSON for the list or "", ARGV[4] the most that the list keeps,
-- ARGV[5] ms of now, ARGV[6...] fields and values
-- Returns 1 where the batch was the one under way.

if redis.call('HGET', KEYS[1], 'batch_id') ~= ARGV[1] then return 0 end
if ARGV[2] == 'told' then
  redis.call('HDEL', KEYS[1], 'batch_id', 'batch', 'tries', 'failing_ms', 'next_ms')
else
  redis.call('HINCRBY', KEYS[1], 'tries', 1)
  redis.call('HSETNX', KEYS[1], 'failing_ms', ARGV[5])
end
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if ARGV[3] ~= '' then
  redis.call('LPUSH', KEYS[1] .. ':told', ARGV[3])
  redis.call('LTRIM', KEYS[1] .. ':told', 0, ARGV[4] - 1)
end
return 1
