// Closes this Jenkins before anybody can reach it, at every start, so that what it says here is what holds.
//
// Given by the unit's drop-in: SLIPWAY_ADMIN, SLIPWAY_URL and SLIPWAY_EXECUTORS as environment, and the two secrets as
// credentials of systemd (LoadCredential): files that only this service can read and that are never on the disk of Jenkins.
// Jenkins itself goes on when an init script fails, and would be open to everybody: so a failure here ends the process.
//
// Statements, one a line: import; try/catch; def NAME = EXPRESSION; a call; if (CONDITION) { ... }; for (NAME in LIST) { ... }.
// Expressions: new, static and instance calls, NAME.property, single-quoted text, true, false, null, integers, ==, !, ||, +.
import hudson.model.User
import hudson.security.FullControlOnceLoggedInAuthorizationStrategy
import hudson.security.HudsonPrivateSecurityRealm
import hudson.security.csrf.DefaultCrumbIssuer
import jenkins.model.Jenkins
import jenkins.model.JenkinsLocationConfiguration
import jenkins.security.ApiTokenProperty

try {
    def jenkins = Jenkins.get()
    def strategy = new FullControlOnceLoggedInAuthorizationStrategy()
    strategy.setAllowAnonymousRead(false)
    jenkins.setAuthorizationStrategy(strategy)
    def realm = new HudsonPrivateSecurityRealm(false, false, null)
    jenkins.setSecurityRealm(realm)
    jenkins.setCrumbIssuer(new DefaultCrumbIssuer(false))
    jenkins.setSlaveAgentPort(-1)
    jenkins.setNumExecutors(System.getenv('SLIPWAY_EXECUTORS').toInteger())
    jenkins.save()
    JenkinsLocationConfiguration.get().setUrl(System.getenv('SLIPWAY_URL'))

    def secrets = System.getenv('CREDENTIALS_DIRECTORY')
    def password = new File(secrets, 'admin-password').getText('UTF-8').trim()
    def token = new File(secrets, 'api-token').getText('UTF-8').trim()

    def admin = User.getById(System.getenv('SLIPWAY_ADMIN'), true)
    def details = admin.getProperty(HudsonPrivateSecurityRealm.Details)
    if (details == null || !details.isPasswordCorrect(password)) {
        realm.createAccount(admin.getId(), password)
    }
    def tokens = admin.getProperty(ApiTokenProperty)
    if (tokens.getTokenStore().findMatchingToken(token) == null) {
        for (old in tokens.getTokenStore().getTokenListSortedByName()) {
            if (old.getName() == 'slipway') {
                tokens.revokeToken(old.getUuid())
            }
        }
        // Of the property and not of its store: the store's method takes an expiry date from 2.54x on.
        tokens.addFixedNewToken('slipway', token)
    }
    admin.save()
} catch (Throwable problem) {
    System.err.println('slipway: Jenkins could not be secured and ends now: ' + problem)
    Runtime.getRuntime().halt(1)
}
