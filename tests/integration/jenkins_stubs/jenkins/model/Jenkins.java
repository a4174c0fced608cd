package jenkins.model;

import hudson.security.FullControlOnceLoggedInAuthorizationStrategy;
import hudson.security.HudsonPrivateSecurityRealm;
import hudson.security.csrf.DefaultCrumbIssuer;

public class Jenkins {
    private static final Jenkins ONE = new Jenkins();

    public static Jenkins get() { return ONE; }

    public void setAuthorizationStrategy(FullControlOnceLoggedInAuthorizationStrategy strategy) {
        System.out.println("anonymous may read: " + strategy.anonymous);
    }

    public void setSecurityRealm(HudsonPrivateSecurityRealm realm) { System.out.println("sign-up: " + realm.signUp); }

    public void setCrumbIssuer(DefaultCrumbIssuer issuer) { System.out.println("crumbs"); }

    public void setSlaveAgentPort(int port) { System.out.println("agent port " + port); }

    public void setNumExecutors(int number) { System.out.println("executors " + number); }

    public void save() { System.out.println("saved Jenkins"); }
}
