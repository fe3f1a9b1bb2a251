# Starts wstest, the program of the Autobahn test suite, under a Python 2.7 (it is Python 2 code):
#
#     AUTOBAHN_SITE=folder-of-its-packages python wstest.py --mode fuzzingserver --spec spec.json --webport 0
#
# It is the suite as it is published, but for five things: it needs no OpenSSL, which only wss:// would; it listens on loopback
# alone; it says on which port, which may be 0 in the specification; when it is ended early it writes the reports that it has; and
# it waits longer for a peer before it cuts it off.
import os
import site
import sys
import types
import unittest

# This reads the .pth file that makes the package zope what it is, as PYTHONPATH would not.
site.addsitedir(os.environ["AUTOBAHN_SITE"])

# A module of the suite wants the backport of what Python 2.7 has.
sys.modules["unittest2"] = unittest


def leave_out_openssl():
    import twisted.internet

    name = "twisted.internet.ssl"
    without = types.ModuleType(name)
    without.ClientContextFactory = lambda: None
    sys.modules[name] = twisted.internet.ssl = without


leave_out_openssl()

# First of the suite's own modules: it decides what Twisted polls with.
from autobahntestsuite import wstest
from autobahntestsuite import fuzzing
from twisted.internet import reactor


def listen_on_loopback(factory, _context=None):
    port = reactor.listenTCP(factory.port, factory, interface="127.0.0.1")
    # What clients write into their Host headers.
    factory.externalPort = port.getHost().port
    print("listening on ws://127.0.0.1:%d" % factory.externalPort)
    return port


# Seconds. The suite's own half a second is too little on a machine that has other work; who answers in time does not notice.
PATIENCE = 20


def be_patient():
    original = fuzzing.FuzzingProtocol.__dict__["killAfter"]
    fuzzing.FuzzingProtocol.killAfter = lambda self, delay: original(self, max(delay, PATIENCE))


def write_reports_once():
    original = fuzzing.FuzzingFactory.createReports

    def create(self, *arguments, **named):
        self.reported = True
        return original(self, *arguments, **named)

    def watched(constructor):
        def construct(self, *arguments, **named):
            self.reported = False
            reactor.addSystemEventTrigger("before", "shutdown", lambda: self.reported or self.createReports())
            return constructor(self, *arguments, **named)

        return construct

    fuzzing.FuzzingFactory.createReports = create
    for factory in (fuzzing.FuzzingServerFactory, fuzzing.FuzzingClientFactory):
        factory.__init__ = watched(factory.__init__)


fuzzing.listenWS = listen_on_loopback
be_patient()
write_reports_once()
wstest.run()
