// Drives a control as users of npm's toxiproxy-node-client do: client.js CONTROL UPSTREAM, the latter an echo server.
"use strict";
const assert = require("node:assert/strict");
const net = require("node:net");
const { Toxic, Toxiproxy } = require("toxiproxy-node-client");

const [control, upstream] = process.argv.slice(2);

function echo(listen) {
    const [host, port] = listen.split(":");
    return new Promise((resolve, reject) => {
        const socket = net.connect(Number(port), host, () => socket.write("rope"));
        socket.on("data", (bytes) => {
            socket.destroy();
            resolve(bytes.toString());
        });
        socket.on("error", reject);
    });
}

async function main() {
    const toxiproxy = new Toxiproxy(`http://${control}`);
    assert.match(await toxiproxy.getVersion(), /"version"/);
    assert.deepEqual(await toxiproxy.getAll(), {});

    const proxy = await toxiproxy.createProxy({ name: "echo", listen: "127.0.0.1:0", upstream });
    assert.deepEqual({ ...proxy.toJson() }, { enabled: true, listen: proxy.listen, name: "echo", upstream });
    assert.equal(await echo(proxy.listen), "rope");
    await assert.rejects(toxiproxy.createProxy({ name: "echo", listen: "127.0.0.1:0", upstream }), /409/);
    await assert.rejects(toxiproxy.get("none"), /404/);

    const toxic = await proxy.addToxic({
        name: "slow", type: "latency", stream: "downstream", toxicity: 1, attributes: { latency: 20, jitter: 5 },
    });
    assert.ok(toxic instanceof Toxic);
    assert.deepEqual((await proxy.getToxic("slow")).toJson(), toxic.toJson());
    const faster = await toxic.update({ attributes: { latency: 1 } });
    assert.deepEqual({ ...faster.attributes }, { latency: 1, jitter: 5 });
    assert.equal(await echo(proxy.listen), "rope");
    await assert.rejects(proxy.addToxic({ name: "x", type: "lag", attributes: {} }), /400/);
    await assert.rejects(proxy.addToxic({ name: "slow", type: "latency", attributes: {} }), /409/);
    await toxic.remove();
    await assert.rejects(proxy.getToxic("slow"), /404/);

    const off = await proxy.update({ enabled: false, listen: proxy.listen, upstream });
    assert.equal(off.enabled, false);
    await assert.rejects(echo(proxy.listen), /ECONNREFUSED/);
    await toxiproxy.reset();
    assert.equal((await toxiproxy.get("echo")).enabled, true);
    assert.equal(await echo(proxy.listen), "rope");

    const list = [{ name: "echo", listen: proxy.listen, upstream }, { name: "more", listen: "127.0.0.1:0", upstream }];
    const populated = await toxiproxy.populate(list);
    assert.deepEqual(Object.keys(populated).sort(), ["echo", "more"]);
    assert.equal(populated.echo.listen, proxy.listen);
    assert.equal(await echo(populated.more.listen), "rope");
    assert.deepEqual(await toxiproxy.populate([]), {});
    await populated.more.remove();
    assert.deepEqual(Object.keys(await toxiproxy.getAll()), ["echo"]);
    console.log("all is well");
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
