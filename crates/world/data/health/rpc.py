# Asks the servers of one project, by its own oslo.messaging and configuration, whether they answer a message.
#
# Arguments: PROJECT CONFIG-ARGUMENT..., one server in each line of standard input: `NAME TOPIC SERVER`, SERVER `-` for any.
# Prints one row for each. A method that no server has is answered, too: with a failure, which proves as much, and which the
# server notes at the level of debugging only, because of the end of its name. It declares what its project declares, no more.
import sys
import threading
import time

PROJECT = sys.argv[1]
# Servers asked at the same time.
AT_ONCE = 20
# How long one answer may take, and how often it is asked for.
LIMIT_S = 5
TRIES = 3
# Servers that did not answer, after which no more are asked: the trouble is not with single ones then.
DEAF_MAX = 10
# Where the project itself does so when its configuration names none.
EXCHANGE = {'nova': 'nova', 'neutron': 'neutron', 'heat': 'heat', 'cinder': 'openstack'}


def say(line):
    with LOCK:
        sys.stdout.write(line + '\n')
        sys.stdout.flush()


def main():
    from oslo_config import cfg
    import oslo_messaging as messaging

    # Its own options are registered there and nowhere else.
    conf = cfg.CONF
    messaging.set_transport_defaults(control_exchange=EXCHANGE[PROJECT])
    conf(args=[word for word in sys.argv[2:] if word.startswith('--config-')], project=PROJECT)
    transport = messaging.get_rpc_transport(conf)
    make = getattr(messaging, 'get_rpc_client', None) or messaging.RPCClient
    is_nova = PROJECT == 'nova'
    method, arguments = ('ping', {'arg': 'ostler'}) if is_nova else ('ostler_ping_ignore_errors', {})
    wanted = [line.split() for line in sys.stdin if len(line.split()) == 3]
    wanted.reverse()
    deaf = []

    silence = 'no answer to %d messages within %d s each' % (TRIES, LIMIT_S)
    nobody = getattr(messaging, 'MessageUndeliverable', messaging.MessagingTimeout)

    # Whether it answers, and why not; none: that is not known.
    def ask(topic, server):
        target = messaging.Target(topic=topic, namespace='baseapi' if is_nova else None, version='1.0')
        client = make(transport, target)
        fixed = {'timeout': LIMIT_S}
        if server != '-':
            fixed['server'] = server
        why = silence
        for _ in range(TRIES):
            try:
                client.prepare(**fixed).call({}, method, **arguments)
                return True, ''
            except messaging.MessagingTimeout:
                why = silence
            except nobody:
                why = 'nobody listens to its queue'
            except Exception as error:
                # What came back from the other side bears its name: the message was heard.
                if isinstance(error, messaging.RemoteError) or type(error).__name__.endswith('_Remote'):
                    return True, ''
                return None, '%s: %s' % (type(error).__name__, error)
        return False, why

    def work():
        while True:
            with LOCK:
                if not wanted:
                    return
                name, topic, server = wanted.pop()
            if len(deaf) >= DEAF_MAX:
                say('gap\trpc\tothers did not answer, so %s was not asked' % name)
                continue
            begun = time.time()
            answers, why = ask(topic, server)
            ms = (time.time() - begun) * 1000
            if not answers:
                deaf.append(name)
            if answers is None:
                say('gap\trpc\tasking %s: %s' % (name, ' '.join(why.split())))
                continue
            queue = topic if server == '-' else '%s.%s' % (topic, server)
            host = '' if server == '-' else server.split('@')[0]
            columns = ['name=' + name, 'host=' + host, 'project=' + PROJECT, 'queue=' + queue,
                       'answers?=' + str(answers).lower(), 'ms#=%d' % ms, 'why=' + ' '.join(why.split())]
            say('row\trpc\t' + '\t'.join(columns))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(AT_ONCE, len(wanted)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say('end\t1')


LOCK = threading.RLock()
main()
