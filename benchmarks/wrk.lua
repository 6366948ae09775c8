-- Requests with the cookies of a file in turn, a line each; prints as JSON what wrk has counted.
local requests, turn = {}, 0

function init(arguments)
    for cookie in io.lines(arguments[1]) do
        requests[#requests + 1] = wrk.format(nil, nil, {Cookie = cookie, Host = wrk.headers.Host})
    end
    if #requests == 0 then requests[1] = wrk.format() end
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "microseconds": %d, "failed": %d, "p50": %d, "p99": %d}\n',
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99)
    ))
end
