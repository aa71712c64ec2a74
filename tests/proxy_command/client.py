"""Drives a control as users of PyPI's toxiproxy-python do: client.py CONTROL UPSTREAM, the latter an echo server."""
import socket
import sys

from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

host, port = sys.argv[1].rsplit(":", 1)
upstream = sys.argv[2]


def connect(proxy):
    where = proxy.listen.rsplit(":", 1)
    return socket.create_connection((where[0], int(where[1])), timeout=60)


def echoes(proxy):
    with connect(proxy) as stream:
        stream.sendall(b"rope")
        # A toxic may have cut it into pieces.
        back = b""
        while len(back) < 4 and (piece := stream.recv(4)):
            back += piece
        return back == b"rope"


def raises(exception, act):
    try:
        act()
    except exception:
        return True
    return False


server = Toxiproxy()
server.update_api_consumer(host, int(port))
assert server.running()
assert b"version" in server.version()
assert server.proxies() == {}

proxy = server.create(upstream=upstream, name="echo")
assert proxy.enabled and proxy.upstream == upstream and proxy.name == "echo"
assert list(server.proxies()) == ["echo"] and server.get_proxy("none") is None
assert raises(ProxyExists, lambda: server.create(upstream=upstream, name="echo"))
assert echoes(proxy)

proxy.add_toxic(type="latency", attributes={"latency": 20, "jitter": 5})
proxy.add_toxic(type="slicer", stream="upstream", name="cut", toxicity=0.5,
                attributes={"average_size": 2, "size_variation": 1, "delay": 10})
assert set(proxy.toxics()) == {"latency_downstream", "cut"}
latency, cut = proxy.get_toxic("latency_downstream"), proxy.get_toxic("cut")
assert (latency.type, latency.stream, latency.toxicity) == ("latency", "downstream", 1.0)
assert latency.attributes == {"latency": 20, "jitter": 5}
assert (cut.stream, cut.toxicity, cut.attributes["average_size"]) == ("upstream", 0.5, 2)
assert echoes(proxy)
assert raises(ProxyExists, lambda: proxy.add_toxic(type="latency"))
assert raises(InvalidToxic, lambda: proxy.add_toxic(type="lag"))
assert raises(InvalidToxic, lambda: proxy.add_toxic(type="timeout", stream="sideways"))
assert proxy.destroy_toxic("cut") and set(proxy.toxics()) == {"latency_downstream"}
assert raises(NotFound, lambda: proxy.destroy_toxic("cut"))

with proxy.down():
    assert not proxy.enabled and not server.get_proxy("echo").enabled
    assert raises(ConnectionRefusedError, lambda: connect(proxy))
assert proxy.enabled and echoes(proxy)

proxy.disable()
assert server.reset()
assert server.get_proxy("echo").enabled and proxy.toxics() == {} and echoes(proxy)

made = server.populate([{"name": "echo", "upstream": upstream, "listen": proxy.listen},
                        {"name": "more", "upstream": upstream, "listen": "127.0.0.1:0"}])
assert [one.name for one in made] == ["more"] and echoes(made[0])
assert server.destroy(made[0]) and raises(NotFound, made[0].destroy)
server.destroy_all()
assert server.proxies() == {}
print("all is well")
