"""Forwards connections at ADDRESS:PORT to the same port of this machine's loopback: forward.py ADDRESS PORT."""

import socket
import sys
import threading


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One end closed the connection, which also ends the other direction.
        pass


address, port = sys.argv[1], int(sys.argv[2])
with socket.create_server((address, port)) as server:
    while True:
        outside, _ = server.accept()
        inside = socket.create_connection(("127.0.0.1", port))
        for pair in ((outside, inside), (inside, outside)):
            threading.Thread(target=pump, args=pair, daemon=True).start()
