// Four starts of one Jenkins: the first, one without a change, one with other secrets, and one without them.
def script = new File(args[0]).text
def credentials = new File(System.getenv('CREDENTIALS_DIRECTORY'))
def start = { new GroovyShell(getClass().classLoader, new Binding()).evaluate(script, 'slipway.groovy') }
println "Groovy ${GroovySystem.version}"
println 'start 1'
start()
println 'start 2'
start()
new File(credentials, 'admin-password').text = 'another password\n'
new File(credentials, 'api-token').text = '11' + 'b' * 32 + '\n'
println 'start 3'
start()
new File(credentials, 'api-token').delete()
println 'start 4'
start()
println 'went on'
