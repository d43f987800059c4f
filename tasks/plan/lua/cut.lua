#!lua flags=allow-oom
-- Store how chunks of jobs are cut, each once; or find how they were.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV for each chunk: job, chunk, msgpack Cut to store where there is none yet, the job's `forgot` as it was before the
-- chunk was read ("" for none), the account in whose next page the job's only row goes ("" where it has slices of its own)
-- cut:<job> hash, `page`: that page; pages hash: account → rows that were given a place, ms since which the page is filled
-- Returns for each {the cut that holds, its page or ""}, or nil where the chunk is planned already: its cut is gone, and
-- another one, made by a worker with other routes, would send its rows a second time. Or 0 where somebody was taken out of
-- the chunk since it was read.

local PAGE_ROWS, PAGE_MS = 64, 60000 -- what lies in a page is given up together: it is not filled for longer
local prefix = string.sub(KEYS[1], 1, -4)
local pages = {} -- by account: places, ms
local now = nil

local function next_page(account)
  if not now then
    local t = redis.call('TIME')
    now = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  local page = pages[account]
  if not page then
    local places, since = string.match(redis.call('HGET', prefix .. 'pages', account) or '0 0', '^(%d+) (%d+)$')
    page = { tonumber(places), tonumber(since) }
    pages[account] = page
  end
  if page[1] % PAGE_ROWS == 0 or now - page[2] > PAGE_MS then
    page[1], page[2] = math.ceil(page[1] / PAGE_ROWS) * PAGE_ROWS, now
  end
  page[1] = page[1] + 1
  return string.format('p%d', math.floor((page[1] - 1) / PAGE_ROWS))
end

local function stored(id, chunk, cut, forgot, account)
  local told = redis.call('HMGET', prefix .. 'job:' .. id, 'meta', 'planned', 'forgot')
  if not told[1] or (told[2] or '0') ~= chunk then return false end
  if (told[3] or '') ~= forgot then return 0 end
  local cuts = prefix .. 'cut:' .. id
  if redis.call('HSETNX', cuts, chunk, cut) == 0 then
    local known = redis.call('HMGET', cuts, chunk, 'page')
    return { known[1], known[2] or '' }
  end
  local page = ''
  if account ~= '' then
    page = next_page(account)
    redis.call('HSET', cuts, 'page', page)
  end
  return { cut, page }
end

local result = {}
for i = 1, #ARGV, 5 do result[#result + 1] = stored(unpack(ARGV, i, i + 4)) end
for account, page in pairs(pages) do
  redis.call('HSET', prefix .. 'pages', account, string.format('%d %d', page[1], page[2]))
end
return result
